"""The console's app: sessions, guards, pages."""

from http import HTTPStatus
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from shop_console import pages
from shop_console.breaking import Breaker
from shop_console.facts import NotLoggedInError
from shop_console.guards import Guards
from shop_console.needs import LoginNeededError, Needs
from shop_console.sessions import COOKIE, Sessions
from shop_console.teller import Teller


def create_app(teller: Teller, breaker: Breaker | None = None) -> FastAPI:
    """The app on what tells stories, and on what breaks the system where that is wanted."""
    app = FastAPI(title="console", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.needs = Needs(teller, Sessions(), breaker)
    for router in pages.ROUTERS:
        app.include_router(router)
    app.add_exception_handler(LoginNeededError, _to_login)
    app.add_exception_handler(NotLoggedInError, _to_login)
    app.add_exception_handler(HTTPException, _problem)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    app.add_middleware(Guards)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(teller.settings.hosts), www_redirect=False)
    return app


async def _to_login(request: Request, error: Exception) -> Response:
    """A page leads to the login and back; a part of a page has the browser go there; a program gets 401."""
    if request.url.path.endswith(".json"):
        answer: Response = JSONResponse({"error": "log in at /login"}, 401)
    elif "hx-request" in request.headers:
        answer = Response(status_code=401, headers={"HX-Redirect": "/login"})
    else:
        back = f"?next={quote(_asked_for(request))}" if request.method == "GET" else ""
        answer = RedirectResponse(f"/login{back}", 303)
    if isinstance(error, NotLoggedInError):
        answer.delete_cookie(COOKIE)
    return answer


def _asked_for(request: Request) -> str:
    """As a browser's address has it; the request's URL takes an order with a question mark apart."""
    path, query = quote(request.scope["path"]), request.scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


async def _problem(request: Request, error: Exception) -> Response:
    """One page for whatever can't be shown; a program gets JSON."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
    if request.url.path.endswith(".json"):
        return JSONResponse({"error": error.detail}, error.status_code)
    needs: Needs = request.app.state.needs
    session = needs.sessions.get(request.cookies.get(COOKIE, ""))
    title = HTTPStatus(error.status_code).phrase
    return needs.page("problem.html", session, code=error.status_code, title=title, words=str(error.detail))


async def _wrong_request(request: Request, _: Exception) -> Response:
    return await _problem(request, HTTPException(422, "the address or the form is not valid"))
