"""The HTTP side: Mailpit's API, as far as tests need it, and the faults."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, Field

from mail_catcher import views
from mail_catcher.faults import Fault, Faults
from mail_catcher.search import parse
from mail_catcher.store import Store

Start = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=0)]


class FaultList(BaseModel):
    faults: list[Fault]


class Deletion(BaseModel):
    ids: Annotated[list[str], Field(alias="IDs")] = []


@dataclass(frozen=True)
class MailCatcher:
    """What the calls need; a test overrides `mail_catcher` with its own."""

    store: Store
    faults: Faults


async def mail_catcher(request: Request) -> MailCatcher:
    provided: MailCatcher = request.app.state.mail_catcher
    return provided


Needs = Annotated[MailCatcher, Depends(mail_catcher)]
router = APIRouter()


def create_app(store: Store, faults: Faults) -> FastAPI:
    # FastAPI's own pages would load from elsewhere
    app = FastAPI(title="Mail catcher (sandbox)", docs_url=None, redoc_url=None)
    app.state.mail_catcher = MailCatcher(store, faults)
    app.include_router(router)
    return app


@router.get("/api/v1/messages")
async def list_messages(needs: Needs, start: Start = 0, limit: Limit = 50) -> Response:
    return JSONResponse(views.page(needs.store, needs.store, start, limit))


@router.delete("/api/v1/messages")
async def delete_messages(needs: Needs, body: Deletion | None = None) -> Response:
    """Delete the messages that the body names; without any, all of them."""
    if body is None or not body.ids:
        needs.store.clear()
    else:
        for message_id in body.ids:
            needs.store.delete(message_id)
    return PlainTextResponse("ok")


@router.get("/api/v1/search")
async def search(needs: Needs, query: str = "", start: Start = 0, limit: Limit = 50) -> Response:
    if not query.strip():
        return PlainTextResponse("Error: no search query", 400)
    terms = parse(query)
    matching = (message for message in needs.store if all(term.holds(message) for term in terms))
    return JSONResponse(views.page(needs.store, matching, start, limit))


@router.get("/api/v1/message/{message_id}")
async def show_message(message_id: str, needs: Needs) -> Response:
    """Show one message and mark it as read, as Mailpit does."""
    message = needs.store.get(message_id)
    if message is None:
        return PlainTextResponse("Error: message not found", 404)
    needs.store.mark_read(message)
    return JSONResponse(views.detail(message))


@router.put("/_faults")
async def replace_faults(body: FaultList, needs: Needs) -> FaultList:
    needs.faults.replace(body.faults)
    return body


@router.get("/livez")
@router.get("/readyz")
async def health() -> Response:
    return PlainTextResponse("ok")
