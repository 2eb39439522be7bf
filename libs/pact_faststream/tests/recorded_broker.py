"""Replays the Pact Broker's HTTP as it was recorded, and remembers whatever was not asked then."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

RECORDINGS = Path(__file__).with_name("broker_recordings")
RECORDED_AT = re.compile(r"http://127\.0\.0\.1:929[35]")
SILENCE = 0
"""A status: the request is heard and never answered."""
NEVER_RECORDED = 418
"""No 5xx, after which a read is tried again."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = ""

    @classmethod
    def of(cls, method: str, path: str, query: str, body: str | Any) -> Self:
        """Brings what doesn't matter to one form: the encoding, and the place of the selectors in a query."""
        asked = [pair for pair in parse_qsl(query) if pair[0] != "limit"]  # the recorded tool named none
        pairs = sorted(asked, key=lambda pair: not pair[0].startswith("q[]"))
        return cls(method, unquote(path) or "/", tuple(pairs), _what_matters(path, _parsed(body)))


@dataclass(frozen=True)
class Exchange:
    request: Request
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    response: Any = ""


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    request: Request
    headers: Mapping[str, str]
    body: Any


def recorded(name: str, **replaced: str) -> list[Exchange]:
    """The exchanges of a recording, with texts replaced in them."""
    text = (RECORDINGS / f"{name}.json").read_text()
    for old, new in replaced.items():
        text = text.replace(old, new)
    return [
        Exchange(
            Request.of(each["method"], each["path"], each["query"], each["request"]),
            each["status"],
            each["headers"],
            each["response"],
        )
        for each in json.loads(text)["exchanges"]
    ]


class RecordedBroker:
    """Answers each request with the next recorded exchange that it fits, or with the last one again."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.received: list[Received] = []
        self.unexpected: list[Request] = []
        self.ended = Event()
        self._unused: list[Exchange] = []
        self._used: list[Exchange] = []

    def replay(self, *names: str) -> None:
        """Recordings, in the order in which they happen."""
        for name in names:
            self.answer(*recorded(name))

    def answer(self, *exchanges: Exchange) -> None:
        self._unused += exchanges

    def forget(self, exchange: Exchange) -> None:
        self._unused.remove(exchange)

    @property
    def writes(self) -> list[Received]:
        """Whatever may have changed something."""
        return [each for each in self.received if each.request.method != "GET"]

    def take(self, request: Request) -> Exchange:
        for exchange in self._unused:
            if exchange.request == request:
                self._unused.remove(exchange)
                self._used.append(exchange)
                return exchange
        for exchange in reversed(self._used):
            if exchange.request == request:
                return exchange
        if (request.method, request.path) == ("GET", "/"):
            return recorded("index")[0]
        self.unexpected.append(request)
        return Exchange(request, NEVER_RECORDED, {"content-type": "text/plain"}, "there is no recording of this")


@contextmanager
def recorded_broker() -> Iterator[RecordedBroker]:
    """Fails the test at the end if something was asked that was never recorded."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            request = Request.of(self.command, path, query, body)
            broker.received.append(Received(request, dict(self.headers.items()), _parsed(body)))
            self._send(broker.take(request))

        def _send(self, exchange: Exchange) -> None:
            if exchange.status == SILENCE:
                broker.ended.wait()
                return
            answer = exchange.response if isinstance(exchange.response, str) else json.dumps(exchange.response)
            content = RECORDED_AT.sub(broker.url, answer).encode()
            self.send_response(exchange.status)
            for name, value in exchange.headers.items():
                self.send_header(name, RECORDED_AT.sub(broker.url, value))
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    broker = RecordedBroker(server)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield broker
    finally:
        broker.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
    assert not broker.unexpected, broker.unexpected


def _parsed(body: Any) -> Any:
    try:
        return json.loads(body)
    except (ValueError, TypeError):
        return body


def _what_matters(path: str, body: Any) -> Any:
    return "any" if body and path.startswith("/webhooks") else body  # the tests look at a webhook's
