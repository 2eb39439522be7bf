"""The newest orders, live; and one order's story."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from pydantic_core import to_json

from shop_console.changes import of_all, of_key
from shop_console.drawing import draw
from shop_console.mermaid import mermaid
from shop_console.needs import Needs, Operator, Wanted
from shop_console.seen import Seen, text_of
from shop_console.sessions import Session
from shop_console.story import Story, UnknownOrderError

router = APIRouter()
PAGE = 50
MOST_FOUND = 200
Number = Annotated[int, Query(ge=1, le=100_000)]


@router.get("/")
async def root() -> Response:
    return RedirectResponse("/orders", 303)


@router.get("/orders")
async def orders(needs: Wanted, session: Operator, q: str = "", page: Number = 1) -> Response:
    found = _found(needs, q, page)
    if q and len(found["orders"]) == 1 and page == 1 and q.strip() in _names(found["orders"][0]):
        return RedirectResponse(f"/orders/{found['orders'][0].key}", 303)
    if q and not found["orders"] and _may_be_a_key(q):
        return RedirectResponse(f"/orders/{q.strip()}", 303)
    return needs.page("orders.html", session, **found)


@router.get("/orders/rows")
async def rows(needs: Wanted, session: Operator, q: str = "", page: Number = 1) -> Response:
    return needs.page("orders_rows.html", session, **_found(needs, q, page))


@router.get("/orders/{key}")
async def order(key: str, needs: Wanted, session: Operator) -> Response:
    return await _told(needs, session, key, "order.html")


@router.get("/orders/{key}/story")
async def story(key: str, needs: Wanted, session: Operator) -> Response:
    return await _told(needs, session, key, "order_story.html")


@router.get("/orders/{key}/story.json")
async def as_json(key: str, needs: Wanted, session: Operator) -> Response:
    return Response(to_json((await _story(needs, session, key)).as_json()), media_type="application/json")


@router.get("/orders/{key}/story.mmd")
async def as_mermaid(key: str, needs: Wanted, session: Operator) -> Response:
    return PlainTextResponse(mermaid(await _story(needs, session, key)))


@router.get("/live")
async def live(needs: Wanted, _: Operator, key: str = "") -> Response:
    """Server-sent events: `orders` whenever a record came, or `story` whenever something of a key may have changed."""
    index = needs.teller.index
    events = of_key(index, key) if key else of_all(index)
    return StreamingResponse(events, media_type="text/event-stream")


async def _story(needs: Needs, session: Session, key: str) -> Story:
    """For a program, to which an unknown order is a plain 404."""
    try:
        return await needs.teller.story(key, token=session.token)
    except UnknownOrderError:
        raise HTTPException(404, "nobody knows this order") from None


async def _told(needs: Needs, session: Session, key: str, template: str) -> Response:
    try:
        told = await needs.teller.story(key, token=session.token)
    except UnknownOrderError:
        return needs.page("unknown.html", session, code=404, key=key)
    records = [{"seen": seen, "value": _laid_out(seen)} for seen in told.records]
    return needs.page(template, session, story=told, drawing=draw(told), records=records)


def _laid_out(seen: Seen) -> str:
    data = seen.data
    return text_of(seen.record.value) if data is None else json.dumps(data, indent=2)


def _found(needs: Needs, q: str, page: int) -> dict[str, Any]:
    index = needs.teller.index
    found = index.search(q, most=MOST_FOUND) if q.strip() else index.newest(most=PAGE, after=(page - 1) * PAGE)
    pages = 1 if q.strip() else max(1, -(-len(index) // PAGE))
    return {
        "orders": found,
        "q": q.strip(),
        "page": page,
        "pages": pages,
        "known": len(index),
        "forgotten": index.forgotten,
        "problem": needs.teller.follower.problem,
    }


def _names(order: Any) -> set[str]:
    return {order.key, *order.trace_ids}


def _may_be_a_key(text: str) -> bool:
    """An older order isn't in the index, and its own page looks for it in the topics."""
    return text.strip().count("-") >= 1 and "@" not in text and "/" not in text and " " not in text.strip()
