"""The HTTP side that every service shares: one error shape, request and trace ids, a body limit, authentication."""

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPMethod
from typing import Annotated, Any, Protocol
from urllib.parse import parse_qsl
from uuid import uuid4

import structlog
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from opentelemetry import trace
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outboxed import _conventions as names
from outboxed.errors import message_of
from outboxed.failpoints import failpoint
from outboxed.storage import is_transient
from outboxed.telemetry import SERVER_FAILED, SpanKind, continued_trace, set_attributes, set_failure
from outboxed.web._authentication import InvalidTokenError, Principal, TokenVerifier
from outboxed.web._operations import PATHS

log = structlog.get_logger()

MAX_BODY_BYTES = 64 * 1024
MAX_ID_CHARACTERS = 128
RETRY_AFTER_SECONDS = 2
_UNREADABLE_BODY = 400
"""FastAPI's and Starlette's answer to a body that is no UTF-8, or no form."""
_OURS: Any = {"tracing": False, "logs": False}
"""FastAPI's own spans would be second ones, with the values of queries; its logs have tracebacks. Older versions have
neither, and pass by what they don't know."""
QUIET_PATHS = frozenset({*PATHS, "/openapi.json"})
"""Paths that machines poll; their requests are neither logged nor recorded as spans."""
METHODS = frozenset({*HTTPMethod, "QUERY"})
"""RFC 9110, RFC 5789 and the draft of QUERY: what the conventions take as names of their own."""
OTHER = "other"
"""A request that no route takes."""
_PORT = re.compile(r"[0-9]{1,5}")
"""A client may send any number as its port, also one that Python doesn't read and OTLP doesn't carry."""
_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "PAYLOAD_TOO_LARGE"}


class ApiError(HTTPException):
    """An answer other than the expected one; `code` is for programs, `message` for people.

    In an app that `create_http_app` hasn't made, it is answered as any HTTPException.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.status = status
        self.code = code
        self.message = message
        self.details = details


class ErrorDetail(BaseModel):
    """Where a request was wrong, such as `body.items.0.quantity`."""

    field: str
    message: str


class ErrorBody(BaseModel):
    code: str
    message: str
    details: list[ErrorDetail] | None = None
    request_id: str


class ErrorResponse(BaseModel):
    """The one shape of every error."""

    error: ErrorBody


def not_found(what: str) -> ApiError:
    """Also the answer for another caller's object: it must not tell that the object exists."""
    return ApiError(404, "NOT_FOUND", f"{what} not found")


def unauthenticated(message: str) -> ApiError:
    return ApiError(401, "UNAUTHENTICATED", message, headers={"WWW-Authenticate": "Bearer"})


def forbidden(message: str) -> ApiError:
    return ApiError(403, "FORBIDDEN", message)


_bearer = HTTPBearer(auto_error=False)


async def authenticated(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    """The caller, from the bearer token; `app.state.token_verifier` decides.

    A coroutine, like all dependencies here: FastAPI calls a plain function in a thread, which waits for a busy loop.
    """
    if credentials is None:
        raise unauthenticated("a bearer token is required")
    verifier: TokenVerifier = request.app.state.token_verifier
    try:
        return verifier.verify(credentials.credentials)
    except InvalidTokenError:
        raise unauthenticated("the token is invalid or has expired") from None


Caller = Annotated[Principal, Depends(authenticated)]


def with_role(role: str) -> Any:
    """Depend on a caller who has this role."""

    async def check(caller: Caller) -> Principal:
        if caller.role != role:
            raise forbidden(f"only the role {role} may do this")
        return caller

    return Depends(check)


class RequestMetrics(Protocol):
    """What the HTTP side counts."""

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is the template of its path, such as `/orders/{order_id}`."""
        ...


def create_http_app(
    *, title: str, version: str, token_verifier: TokenVerifier, metrics: RequestMetrics | None = None
) -> FastAPI:
    """A FastAPI app without a lifespan, with the shared error handling; the caller adds routers."""
    app = FastAPI(
        title=title,
        version=version,
        docs_url=None,  # its page would load from elsewhere: operations_router has one that doesn't
        redoc_url=None,
        responses={422: {"model": ErrorResponse}},
        telemetry=_OURS,
    )
    app.state.token_verifier = token_verifier
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(_BodyLimit)
    app.add_middleware(_RequestContext, service=title, metrics=metrics)
    return app


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for this type alone
    return _error_response(request.scope, error)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type alone
    details = [{"field": _place(problem), "message": message_of(problem)} for problem in error.errors()]
    return _error_response(request.scope, _invalid(details))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
    if error.status_code == _UNREADABLE_BODY:
        return _error_response(request.scope, _invalid([{"field": "body", "message": "the body can't be read"}]))
    code = _CODES.get(error.status_code, "BAD_REQUEST")
    return _error_response(request.scope, ApiError(error.status_code, code, str(error.detail), headers=error.headers))


def _invalid(details: Sequence[Mapping[str, str]]) -> ApiError:
    return ApiError(422, "VALIDATION_ERROR", "the request is not valid", details=details)


def _place(problem: Mapping[str, Any]) -> str:
    location = problem["loc"]
    if problem["type"] == "json_invalid":
        location = location[:1]
    return ".".join(str(part) for part in location)


def _error_response(scope: Scope, error: ApiError) -> JSONResponse:
    request_id = scope.get("state", {}).get("request_id", "")
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.details:
        body["details"] = list(error.details)
    body["request_id"] = request_id
    return JSONResponse({"error": body}, status_code=error.status, headers=dict(error.headers or {}))


class _RequestContext:
    """The outermost middleware: gives each request its ids, and each unexpected error the one error shape."""

    def __init__(self, app: ASGIApp, service: str, metrics: RequestMetrics | None) -> None:
        self._app = app
        self._service = service
        self._metrics = metrics
        self._declared: Mapping[tuple[str, str], frozenset[str]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    @failpoint("http.answer")
    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        request_id = _acceptable_id(headers.get("x-request-id")) or str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        answered, begun = _Answer(send, request_id), time.monotonic()
        app: FastAPI = scope["app"]  # a mounted app puts itself there
        # a kept-alive connection may start its next request in the context of the last one
        structlog.contextvars.clear_contextvars()
        is_quiet = scope["path"] in QUIET_PATHS
        with continued_trace(
            _method(scope) or "HTTP",
            headers.get("traceparent"),
            SpanKind.SERVER,
            None if is_quiet else lambda: self._said_of(scope, headers, request_id),
            service=self._service,
            request_id=request_id,
        ):
            try:
                await self._app(scope, receive, answered)
            except Exception as error:
                if answered.started:
                    raise
                await _error_response(scope, _unexpected(error))(scope, receive, answered)
                set_failure(error)
            else:
                if (answered.status or 0) >= SERVER_FAILED:
                    set_failure(str(answered.status))
            finally:  # also of an answer that broke off
                route = getattr(scope.get("route"), "path", None)
                _say_the_end(scope, route, answered.status)
                if scope["query_string"] and trace.get_current_span().is_recording():
                    set_attributes({names.URL_QUERY: self._query_of(scope, app, route)})
            if not is_quiet:
                log.info("request", method=scope["method"], path=scope["path"], status=answered.status)
                self._count(scope, route, answered.status, time.monotonic() - begun)

    def _count(self, scope: Scope, route: str | None, status: int | None, seconds: float) -> None:
        if self._metrics is not None:
            # anybody may send any path and any method: only those of routes and of HTTP are names of their own
            method = (_method(scope) if route else None) or OTHER
            self._metrics.request_answered(method, route or OTHER, status or 0, seconds)

    def _query_of(self, scope: Scope, app: FastAPI, route: str | None) -> str:
        """The parameters that the route declares, once each, and `other` for the rest; none has its value.

        Anybody may send any name, with personal data in it or without end. Source: semantic conventions, url.query.
        """
        if self._declared is None:
            self._declared = _query_parameters(app)
        declared = self._declared.get((route or "", scope["method"]), frozenset())
        sent = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        told = dict.fromkeys(name if name in declared else OTHER for name, _ in sent)
        return "&".join(f"{name}=REDACTED" for name in told)

    def _said_of(self, scope: Scope, headers: Mapping[str, str], request_id: str) -> dict[str, str | int]:
        """What is known of a request when it comes. Source: semantic conventions, HTTP server spans."""
        method = _method(scope)
        said: dict[str, str | int] = {
            names.HTTP_METHOD: method or "_OTHER",
            names.URL_PATH: scope["path"],
            names.URL_SCHEME: scope["scheme"],
            names.SERVICE: self._service,
            names.REQUEST_ID: request_id,
        }
        if method is None:
            said[names.HTTP_METHOD_ORIGINAL] = scope["method"]
        if host := headers.get("host"):
            address, port = _host(host)
            said[names.SERVER_ADDRESS] = address
            if port is not None:
                said[names.SERVER_PORT] = port
        return said


def _query_parameters(app: FastAPI) -> Mapping[tuple[str, str], frozenset[str]]:
    """The names of a query's parameters, by route and method, as the app's OpenAPI document says them."""
    return {
        (route, method.upper()): frozenset(each["name"] for each in call.get("parameters", ()) if each["in"] == "query")
        for route, calls in app.openapi()["paths"].items()
        for method, call in calls.items()
    }


def _method(scope: Scope) -> str | None:
    """None for one that HTTP doesn't know: anybody may send any."""
    return scope["method"] if scope["method"] in METHODS else None


def _host(header: str) -> tuple[str, int | None]:
    """The host and port that the client asked for."""
    address, _, port = header.rpartition(":")
    if address and _PORT.fullmatch(port):
        return address.strip("[]"), int(port)
    return header.strip("[]"), None


def _say_the_end(scope: Scope, route: str | None, status: int | None) -> None:
    """What is known of a request when it ends; one that is cancelled may have no answer."""
    if status is not None:
        set_attributes({names.HTTP_STATUS: status})
    if route is not None:
        set_attributes({names.HTTP_ROUTE: route}, name=f"{_method(scope) or 'HTTP'} {route}")


class _Answer:
    """Remembers whether and how the response began."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    @property
    def started(self) -> bool:
        return self.status is not None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._request_id.encode())]
        await self._send(message)


def _unexpected(error: Exception) -> ApiError:
    if is_transient(error):
        log.warning("unavailable", error=repr(error))
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return ApiError(503, "UNAVAILABLE", "the service cannot answer right now: try again", headers=headers)
    log.error("internal_error", exc_info=error)
    return ApiError(500, "INTERNAL_ERROR", "something went wrong inside the service")


def _acceptable_id(value: str | None) -> str | None:
    """A caller's request id ends up in logs and headers: only a short and printable one is kept."""
    return value if value and len(value) <= MAX_ID_CHARACTERS and value.isascii() and value.isprintable() else None


class _BodyTooLargeError(Exception):
    """Ends the reading of a body; the app may catch it."""


class _BodyLimit:
    """Reads at most MAX_BODY_BYTES, whatever Content-Length says; FastAPI's own limit answers in another shape."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                raise _BodyTooLargeError
            return message

        async def unless_too_large(message: Message) -> None:
            if read <= MAX_BODY_BYTES:  # else the app has answered to half a body
                await send(message)

        with suppress(_BodyTooLargeError):
            await self._app(scope, limited, unless_too_large)
        if read > MAX_BODY_BYTES:
            text = f"the body is larger than {MAX_BODY_BYTES // 1024} KiB"
            await _error_response(scope, ApiError(413, _CODES[413], text))(scope, receive, send)
