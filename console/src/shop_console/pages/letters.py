"""Dead letters of all services: list, show, edit with its difference, replay, discard."""

from collections.abc import Awaitable
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Form, HTTPException, Path, Response
from fastapi.responses import RedirectResponse

from shop_console.letters import Letter, Letters, NoLetterError, RefusedError, Status, Text
from shop_console.needs import Changing, Needs, Operator, Wanted
from shop_console.sessions import Session

log = structlog.get_logger()
router = APIRouter()
LetterId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Field = Annotated[str, Form()]
DONE = {
    "edited": "Saved. A replay handles it as it is now.",
    "replayed": "Replayed: the service has handled it.",
    "discarded": "Discarded.",
}


@router.get("/letters")
async def letters(needs: Wanted, session: Operator, status: Status = "open") -> Response:
    found, missing = await _letters(needs, session).list(status)
    return needs.page("letters.html", session, letters=found, missing=missing, status=status)


@router.get("/letters/{service}/{letter_id}")
async def letter(service: str, letter_id: LetterId, needs: Wanted, session: Operator, done: str = "") -> Response:
    found = await _found(needs, session, service, letter_id)
    return _page(needs, session, found, done=DONE.get(done, ""))


@router.post("/letters/{service}/{letter_id}/edit")
async def edit(  # noqa: PLR0913 - a form has that many fields
    service: str,
    letter_id: LetterId,
    needs: Wanted,
    session: Changing,
    *,
    key: Field = "",
    headers: Field = "",
    value: Field = "",
    what: Annotated[Literal["compare", "save"], Form()] = "compare",
) -> Response:
    """Show what an edit would change, or save it."""
    found = await _found(needs, session, service, letter_id)
    draft = Text(key, headers.replace("\r\n", "\n"), value.replace("\r\n", "\n"))
    if what == "compare":
        return _page(needs, session, found, draft=draft)
    return await _change(needs, session, found, "edited", _letters(needs, session).edit(found, draft), draft=draft)


@router.post("/letters/{service}/{letter_id}/replay")
async def replay(service: str, letter_id: LetterId, needs: Wanted, session: Changing) -> Response:
    found = await _found(needs, session, service, letter_id)
    return await _change(needs, session, found, "replayed", _letters(needs, session).close(found, "replay"))


@router.post("/letters/{service}/{letter_id}/discard")
async def discard(
    service: str, letter_id: LetterId, needs: Wanted, session: Changing, *, sure: Annotated[bool, Form()] = False
) -> Response:
    found = await _found(needs, session, service, letter_id)
    if not sure:
        problem = "Nothing was done: say that you are sure. What is discarded can't be replayed."
        return _page(needs, session, found, problem=problem, code=422)
    return await _change(needs, session, found, "discarded", _letters(needs, session).close(found, "discard"))


def _letters(needs: Needs, session: Session) -> Letters:
    return Letters(needs.teller.http, needs.teller.catalogue, session.token)


async def _found(needs: Needs, session: Session, service: str, letter_id: int) -> Letter:
    try:
        return await _letters(needs, session).get(service, letter_id)
    except NoLetterError:
        raise HTTPException(404, f"{service} has no dead letter {letter_id}") from None
    except RefusedError as error:
        raise HTTPException(502, str(error)) from None


def _page(needs: Needs, session: Session, found: Letter, *, code: int = 200, **more: Any) -> Response:
    values = {"draft": None, "problem": "", "done": "", **more}
    return needs.page("letter.html", session, code=code, letter=found, **values)


async def _change(
    needs: Needs, session: Session, letter: Letter, what: str, change: Awaitable[Letter], **shown: Any
) -> Response:
    """Leave the audit line and show the letter as it is now; where the service refuses, say why."""
    try:
        await change
    except RefusedError as error:
        return _page(needs, session, letter, problem=str(error), code=409, **shown)
    log.info(
        "dead_letter_changed", change=what, service=letter.service, letter=letter.raw["id"], operator=session.email
    )
    return RedirectResponse(f"/letters/{letter.service}/{letter.raw['id']}?done={what}", 303)
