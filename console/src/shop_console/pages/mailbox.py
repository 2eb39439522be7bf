"""The e-mails that the mail catcher has, where there is one."""

from collections.abc import Mapping
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.responses import HTMLResponse

from shop_console.needs import Needs, Operator, Wanted
from shop_console.seen import instant

router = APIRouter()
PAGE = 50
OF_A_MAIL = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
"""Anybody may have written it: it runs no script and loads nothing."""


@router.get("/mailbox")
async def mailbox(
    needs: Wanted, session: Operator, q: str = "", page: Annotated[int, Query(ge=1, le=100_000)] = 1
) -> Response:
    _check(needs)
    problem = ""
    found: Mapping[str, Any] = {"messages": [], "total": 0, "messages_count": 0}
    try:
        found = await needs.teller.sources.mail_page(start=(page - 1) * PAGE, most=PAGE, query=q.strip())
    except (httpx.HTTPError, ValueError) as error:
        problem = f"The mail catcher did not answer ({type(error).__name__})."
    mails = [{**mail, "at": instant(mail["Created"])} for mail in found["messages"]]
    pages = max(1, -(-int(found["messages_count"]) // PAGE))
    return needs.page(
        "mailbox.html", session, mails=mails, total=found["total"], q=q, page=page, pages=pages, problem=problem
    )


@router.get("/mailbox/{mail_id}")
async def mail(mail_id: str, needs: Wanted, session: Operator) -> Response:
    found = await _mail(needs, mail_id)
    return needs.page("mail.html", session, mail=found, at=instant(str(found["Date"])), order=_order(found))


@router.get("/mailbox/{mail_id}/html")
async def html(mail_id: str, needs: Wanted, _: Operator) -> Response:
    """As it was written in HTML, for a frame."""
    found = await _mail(needs, mail_id)
    return HTMLResponse(found["HTML"], headers={"Content-Security-Policy": OF_A_MAIL})


async def _mail(needs: Needs, mail_id: str) -> Mapping[str, Any]:
    _check(needs)
    if not mail_id.isalnum():
        raise HTTPException(404, "there is no such e-mail")
    try:
        found = await needs.teller.sources.mail(mail_id)
    except (httpx.HTTPError, ValueError) as error:
        raise HTTPException(502, f"the mail catcher did not answer ({type(error).__name__})") from None
    if found is None:
        raise HTTPException(404, "there is no such e-mail")
    return found


def _check(needs: Needs) -> None:
    if needs.teller.settings.mailbox_url is None:
        raise HTTPException(404, "there is no mail catcher here")


def _order(mail: Mapping[str, Any]) -> str:
    """A Message-ID is `kind.order_id@domain`."""
    return str(mail["MessageID"]).partition("@")[0].partition(".")[2]
