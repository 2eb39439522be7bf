"""What the pages need: who tells, who is logged in, and the templates."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any

import jinja2
from fastapi import Depends, Form, HTTPException, Request
from fastapi.responses import HTMLResponse

from shop_console.breaking import Breaker
from shop_console.sessions import COOKIE, Session, Sessions
from shop_console.teller import Teller
from shop_console.wording import clock, day, duration


class LoginNeededError(Exception):
    """Nobody is logged in."""


@dataclass
class Needs:
    """One a process; the app's state has it."""

    teller: Teller
    sessions: Sessions
    breaker: Breaker | None

    @cached_property
    def templates(self) -> jinja2.Environment:
        """With each value escaped, and each unknown name an error."""
        templates = jinja2.Environment(
            loader=jinja2.PackageLoader("shop_console"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        templates.filters |= {"duration": duration, "clock": clock, "day": day, "age": _age}
        templates.globals["diff"] = diff
        return templates

    def page(self, name: str, session: Session | None, *, code: int = 200, **values: Any) -> HTMLResponse:
        """A page or a part of one."""
        shared = {
            "session": session,
            "has_mailbox": self.teller.settings.mailbox_url is not None,
            "can_break": self.breaker is not None,
        }
        return HTMLResponse(self.templates.get_template(name).render(**shared, **values), code)


async def needs(request: Request) -> Needs:
    found: Needs = request.app.state.needs
    return found


Wanted = Annotated[Needs, Depends(needs)]


async def logged_in(request: Request, needs: Wanted) -> Session:
    """Raises LoginNeededError."""
    session = needs.sessions.get(request.cookies.get(COOKIE, ""))
    if session is None:
        raise LoginNeededError
    return session


Operator = Annotated[Session, Depends(logged_in)]


async def own_form(session: Operator, csrf: Annotated[str, Form()] = "") -> Session:
    """The session, if the form is one of its own pages'."""
    if not session.sent(csrf):
        raise HTTPException(403, "the form is not of this session: open its page again")
    return session


Changing = Annotated[Session, Depends(own_form)]


def diff(before: str, after: str) -> list[Mapping[str, str]]:
    """Lines with what became of each: same, removed or added."""
    kinds = {" ": "same", "-": "removed", "+": "added"}
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [{"kind": kinds[line[0]], "sign": line[0], "text": line[2:]} for line in lines if line[0] in kinds]


def _age(moment: datetime) -> str:
    return duration(max(0.0, (datetime.now(UTC) - moment).total_seconds()))
