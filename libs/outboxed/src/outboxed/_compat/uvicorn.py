"""uvicorn: signals left alone, and clients that are slow, silent or too many. Bound: `uvicorn<0.55`.

- uvicorn's handler ends the process with status 143, although all roles have stopped in order. No setting turns the
  handler off (https://github.com/Kludex/uvicorn/issues/526), so `Server.capture_signals` is overridden.
- uvicorn waits for ever for the rest of a request's head or body and for a client to read its answer, and
  `limit_concurrency` refuses only once a request has come: silent connections can take all there is. Used of
  `H11Protocol`, beside asyncio's methods: `handle_events`, `on_response_complete`, `conn`, `transport`, `connections`
  and `loop`. So h11 is the protocol even where another is installed.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol


class Server(uvicorn.Server):
    """Runs until its `should_exit` is set."""

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
    connections: int = 500
    """One more ends the connection that has waited longest for a request; where none waits, it gets a 503."""


_CODES = {HTTPStatus.REQUEST_TIMEOUT: "REQUEST_TIMEOUT", HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE"}
"""As in the services' own answers."""


class BoundedProtocol(H11Protocol):
    """A connection that keeps to its limits."""

    limits = HttpLimits()
    waiting_since = 0.0
    _state: Any = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections and not self._make_room():
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the service has too many connections: try again")
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(self.limits.unread, self._end_unread)

    @property
    def waits(self) -> bool:
        """Whether no request is under way."""
        return self.conn.their_state is h11.IDLE and not self.transport.is_closing()

    def _watch(self) -> None:
        """Give the client its time for what it has to send next."""
        state = self.conn.their_state
        if state is self._state or self.transport.is_closing():
            return
        self._stop_timer()
        self._state = state
        self.waiting_since = self.loop.time()
        if state is h11.IDLE:
            self._timer = self.loop.call_later(self.limits.head, self._end_request, self.limits.head, "headers")
        elif state is h11.SEND_BODY:
            self._timer = self.loop.call_later(self.limits.body, self._end_request, self.limits.body, "body")

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
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
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
