"""uvicorn: signals left alone, and clients that are slow, silent or too many. Bound: `uvicorn<0.55`.

- uvicorn's handler ends the process with status 143, although all roles have stopped in order. No setting turns the
  handler off (https://github.com/Kludex/uvicorn/issues/526), so `Server.capture_signals` is overridden.
- uvicorn looks ten times a second whether it should exit, which a service at rest pays for nothing. So
  `Server.main_loop` is overridden; `Server.on_tick` with a multiple of ten brings the answers' date up to date.
- uvicorn waits for ever for the rest of a request's head or body and for a client to read its answer, and
  `limit_concurrency` refuses only once a request has come: silent connections can take all there is. httptools has no
  limit for a head's size. Used of `HttpToolsProtocol`, beside asyncio's methods: `on_headers_complete`,
  `on_message_complete`, `on_response_complete`, `cycle` with `response_started` and `response_complete`, `pipeline`,
  `transport`, `connections` and `loop`. So httptools is the protocol even where another is installed; h11 took 0.3 ms
  more for a request.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from outboxed._stopping import at_most

DATE_SECONDS = 1.0
"""The answers' date has no smaller part."""
TICK_WITH_THE_DATE = 10


class Server(uvicorn.Server):
    """Runs until it is told to exit."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    def exit(self) -> None:
        """Take no more connections, and end."""
        self.should_exit = True
        self._told.set()

    async def main_loop(self) -> None:
        """Wait to be told; see the module's docstring."""
        while not await self.on_tick(TICK_WITH_THE_DATE):
            async with at_most(DATE_SECONDS):
                await self._told.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See the module's docstring."""
        yield


@dataclass(frozen=True)
class HttpLimits:
    """How long a client may take, in seconds, and how many connections a process has."""

    head: float = 10
    """From the connection, or the answer before, to the end of a request's headers."""
    body: float = 30
    """From the end of the headers to the end of the body."""
    unread: float = 30
    """From the end of an answer until the client has read it."""
    keep_alive: int = 5
    """Whole seconds of silence between two requests, as uvicorn has it."""
    head_bytes: int = 16 * 1024
    """The size of a request's headers."""
    connections: int = 500
    """One more ends the connection that has waited longest for a request; where none waits, it gets a 503."""


_CODES = {
    HTTPStatus.REQUEST_TIMEOUT: "REQUEST_TIMEOUT",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "HEADERS_TOO_LARGE",
    HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE",
}
"""As in the services' own answers."""


class BoundedProtocol(HttpToolsProtocol):
    """A connection that keeps to its limits."""

    limits = HttpLimits()
    waiting_since = 0.0
    _receives_body = False
    _head_bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections and not self._make_room():
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the service has too many connections: try again")
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > self.limits.head_bytes:
            size = f"{self.limits.head_bytes // 1024} KiB"
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the request's headers are larger than {size}")

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._receives_body = True
        self._head_bytes = 0
        self._await(self.limits.body, "body")

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._head_bytes = 0  # what comes without a body in between is head, or trailers

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._receives_body = False
        self._head_bytes = 0
        self._stop_timer()
        if self.waits:  # the answer came before the end of the body
            self._await_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(self.limits.unread, self._end_unread)
        if self.waits:
            self._await_head()

    @property
    def waits(self) -> bool:
        """Whether no request is under way."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and not (self._receives_body or self.pipeline or self.transport.is_closing())

    def _await_head(self) -> None:
        self.waiting_since = self.loop.time()
        self._await(self.limits.head, "headers")

    def _await(self, seconds: float, part: str) -> None:
        """Give the client its time for what it has to send next."""
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self._end_request, seconds, part)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_request(self, seconds: float, part: str) -> None:
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the request's {part} did not come within {seconds:g} s")

    def _end_unread(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _make_room(self) -> bool:
        waiting = [one for one in self.connections if isinstance(one, BoundedProtocol) and one.waits]
        longest = min((one for one in waiting if one is not self), key=lambda one: one.waiting_since, default=None)
        if longest is not None:
            longest.transport.abort()
        return longest is not None

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer, unless an answer has begun, and close."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            error = {"code": _CODES[status], "message": message, "request_id": ""}
            body = json.dumps({"error": error}).encode()
            lines = [
                f"HTTP/1.1 {status} {status.phrase}",
                "content-type: application/json",
                f"content-length: {len(body)}",
                "connection: close",
            ]
            self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self.transport.close()


def config(app: Any, limits: HttpLimits) -> uvicorn.Config:
    """Uvicorn's settings for a service."""
    return uvicorn.Config(
        app,
        http=type("LimitedProtocol", (BoundedProtocol,), {"limits": limits}),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=limits.keep_alive,
        # rate limits count by address, and anybody can send a header with another address
        proxy_headers=False,
    )
