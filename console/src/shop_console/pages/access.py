"""Log in and out, and whether the process is well."""

from typing import Annotated

import httpx
import structlog
from fastapi import APIRouter, Form, Response
from fastapi.responses import JSONResponse, RedirectResponse

from shop_console.facts import TIMEOUT_SECONDS
from shop_console.needs import Changing, Needs, Wanted
from shop_console.sessions import COOKIE, Session

log = structlog.get_logger()
router = APIRouter()
REFUSALS = {
    httpx.codes.UNAUTHORIZED: "Wrong e-mail address or password.",
    httpx.codes.TOO_MANY_REQUESTS: "Too many attempts: wait a minute.",
}


@router.get("/health/live")
async def live() -> Response:
    return JSONResponse({"status": "ok"})


@router.get("/health/ready")
async def ready(needs: Wanted) -> Response:
    """Ready means that each service has described itself and the topics are read."""
    missing = [name for name in needs.teller.settings.services if name not in needs.teller.catalogue.services]
    reason = f"{', '.join(missing)} did not answer yet" if missing else needs.teller.follower.problem
    return JSONResponse({"status": "failing", "reason": reason} if reason else {"status": "ok"}, 503 if reason else 200)


@router.get("/login")
async def login_page(needs: Wanted, next: str = "/orders") -> Response:  # noqa: A002 - the parameter's usual name
    return needs.page("login.html", None, next=_inside(next), problem="", email="")


@router.post("/login")
async def login(
    needs: Wanted,
    email: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/orders",  # noqa: A002 - the parameter's usual name
) -> Response:
    session, problem = await _enter(needs, email, password)
    if session is None:
        return needs.page("login.html", None, code=401, next=_inside(next), problem=problem, email=email)
    log.info("operator_logged_in", operator=session.email)
    answer = RedirectResponse(_inside(next), 303)
    secure = needs.teller.settings.environment == "production"
    answer.set_cookie(COOKIE, session.id, httponly=True, samesite="lax", secure=secure)
    return answer


@router.post("/logout")
async def logout(needs: Wanted, session: Changing) -> Response:
    needs.sessions.close(session.id)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE)
    return answer


async def _enter(needs: Needs, email: str, password: str) -> tuple[Session | None, str]:
    """A session, or why there is none."""
    teller = needs.teller
    url = teller.settings.services[teller.settings.tokens_from]
    form = {"username": email, "password": password}
    try:
        given = await teller.http.post(f"{url}/api/v1/tokens", data=form, timeout=TIMEOUT_SECONDS)
        if given.status_code in REFUSALS:
            return None, REFUSALS[httpx.codes(given.status_code)]
        token = given.raise_for_status().json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        allowed = await teller.http.get(f"{url}/operations/dead-letters", params={"limit": 1}, headers=headers)
    except (httpx.HTTPError, ValueError, KeyError):
        return None, f"{teller.settings.tokens_from}, which gives tokens, does not answer."
    if allowed.status_code == httpx.codes.FORBIDDEN:
        return None, "This account is no operator's."
    return needs.sessions.open(token["access_token"], email, seconds=float(token["expires_in"])), ""


def _inside(address: str) -> str:
    """An address of this site; a link must not lead elsewhere."""
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) else "/orders"
