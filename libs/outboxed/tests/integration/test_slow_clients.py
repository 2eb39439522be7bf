"""Clients that are slow, silent or too many, at a service's HTTP server; its limits are made short here."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from backing_services.waiting import eventually
from fastapi import FastAPI, Request, Response
from outboxed._compat.uvicorn import BoundedProtocol
from outboxed.process import HttpLimits, bind, http_role
from outboxed.testing.services import running
from outboxed.web import TokenVerifier, create_http_app

LONG = 60.0
MUCH = 30_000_000
"""Bytes; more than the buffers between two processes hold."""
SHORT = 0.05
HEAD = b"POST /echo HTTP/1.1\r\nhost: here\r\ncontent-length: 4\r\n\r\n"
GET = b"GET /held HTTP/1.1\r\nhost: here\r\n\r\n"


@dataclass
class App:
    """Answers with what it was sent, with very much, or once it is allowed to."""

    http: FastAPI = field(init=False)
    held: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        verifier = TokenVerifier((), issuer="bank", audience="bank", roles=())
        self.http = create_http_app(title="bank", version="1", token_verifier=verifier)

        @self.http.post("/echo")
        async def echo(request: Request) -> Response:
            return Response(await request.body())

        @self.http.get("/address")
        async def address(request: Request) -> str:
            return request.client.host if request.client else ""

        @self.http.post("/early")
        async def early() -> str:
            return "answered"

        @self.http.get("/much")
        async def much() -> Response:
            return Response(b"a" * MUCH)

        @self.http.get("/held")
        async def held() -> str:
            self.held += 1
            await self.go.wait()
            return "went"


@dataclass(frozen=True)
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await self.reader.read()

    async def answer(self) -> bytes:
        """One answer on a connection that stays open."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return head + await self.reader.readexactly(int(length.split(b":")[1]))


Connect = Callable[[], Any]


@asynccontextmanager
async def serving(app: App, **limits: Any) -> AsyncIterator[Connect]:
    """A function that connects; what isn't said is long."""
    chosen = HttpLimits(**{"head": LONG, "body": LONG, "unread": LONG, "keep_alive": 60, "connections": 100, **limits})
    listener = bind("127.0.0.1", 0)
    async with asyncio.timeout(30), AsyncExitStack() as closed:

        async def connect() -> Client:
            # before it is connected: a small window makes the server wait for its client soon
            mine = socket.socket()
            mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            mine.setblocking(False)
            await asyncio.get_running_loop().sock_connect(mine, listener.getsockname())
            reader, writer = await asyncio.open_connection(sock=mine)
            closed.callback(writer.close)
            return Client(reader, writer)

        async with running(http_role(app.http, listener, chosen).run):
            try:
                yield connect
            finally:
                app.go.set()


@pytest.fixture
def app() -> App:
    return App()


def code(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"])


@pytest.mark.parametrize("sent", [b"", b"G", GET[:-2], b"POST /echo HTTP/1.1\r\nx: " + b"y" * 1000])
async def test_a_request_without_an_end_of_its_headers_is_ended(app: App, sent: bytes) -> None:
    async with serving(app, head=SHORT) as connect:
        client = await connect()
        await client.send(sent)

        answer = await client.rest()

    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert code(answer) == "REQUEST_TIMEOUT"


async def test_headers_that_are_too_large_are_refused(app: App) -> None:
    async with serving(app, head_bytes=1024) as connect:
        client = await connect()
        await client.send(b"GET /held HTTP/1.1\r\nx: " + b"a" * 2000)

        answer = await client.rest()

    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]["code"] == "HEADERS_TOO_LARGE"


async def test_trailers_that_never_end_are_refused_as_headers_are(app: App) -> None:
    async with serving(app, head_bytes=1024) as connect:
        client = await connect()
        await client.send(GET.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"))
        await eventually(lambda: app.held == 1, every=0.001)
        await client.send(b"x: " + b"a" * 2000)

        answer = await client.rest()

    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_large_body_is_no_large_head(app: App) -> None:
    async with serving(app, head_bytes=1024) as connect:
        client = await connect()
        await client.send(HEAD.replace(b"length: 4", b"length: 2000\r\nexpect: 100-continue"))
        await client.reader.readuntil(b"\r\n\r\n")
        await client.send(b"a" * 1900)
        await client.send(b"b" * 100)

        assert (await client.answer()).endswith(b"b" * 100)


@pytest.mark.parametrize("path", [b"/echo", b"/early"])
async def test_a_request_without_an_end_of_its_body_is_ended(app: App, path: bytes) -> None:
    async with serving(app, body=SHORT) as connect:
        client = await connect()
        await client.send(HEAD.replace(b"/echo", path) + b"ab")

        answer = await client.rest()

    assert answer.startswith(b"HTTP/1.1 408" if path == b"/echo" else b"HTTP/1.1 200")


async def test_an_answer_may_take_longer_than_a_body(app: App) -> None:
    async with serving(app, body=SHORT) as connect:
        patient = await connect()
        await patient.send(GET)
        await eventually(lambda: app.held == 1)
        late = await connect()
        await late.send(HEAD)

        assert code(await late.rest()) == "REQUEST_TIMEOUT"  # the time of a body is over
        app.go.set()
        assert (await patient.answer()).endswith(b'"went"')


async def test_a_second_request_on_a_connection_has_as_long_as_the_first(app: App) -> None:
    async with serving(app, head=SHORT) as connect:
        client = await connect()
        await client.send(HEAD + b"abcd")
        first = await client.answer()
        await client.send(GET[:10])

        rest = await client.rest()

    assert first.endswith(b"\r\n\r\nabcd")
    assert code(rest) == "REQUEST_TIMEOUT"


async def test_an_idle_connection_is_closed_without_a_word(app: App) -> None:
    async with serving(app, keep_alive=0) as connect:
        client = await connect()
        await client.send(HEAD + b"abcd")
        await client.answer()

        assert await client.rest() == b""


async def test_an_answer_that_nobody_reads_is_ended(app: App) -> None:
    async with serving(app, unread=SHORT) as connect:
        client = await connect()
        await client.send(HEAD + b"abcd")
        await client.answer()
        before = open_sockets()
        client.writer.transport.pause_reading()
        await client.send(b"GET /much HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
        await eventually(lambda: open_sockets() < before)
        client.writer.transport.resume_reading()

        assert len(await client.rest()) < MUCH


@pytest.mark.parametrize("unread", [0, 1])
def test_when_its_time_is_over_a_connection_ends_only_if_its_answer_was_not_read(unread: int) -> None:
    ended: list[str] = []
    connection: Any = BoundedProtocol.__new__(BoundedProtocol)
    connection.transport = SimpleNamespace(get_write_buffer_size=lambda: unread, abort=lambda: ended.append("abort"))

    connection._end_unread()  # noqa: SLF001 - what the loop calls then

    assert ended == ["abort"] * unread


def open_sockets() -> int:
    """Of this process, which is both the server and its clients."""
    return sum(str(one).startswith("socket:") for one in map(_target, Path("/proc/self/fd").iterdir()))


def _target(link: Path) -> Path:
    return link.readlink() if link.is_symlink() else link


async def test_slow_but_in_time_is_answered(app: App) -> None:
    async with serving(app) as connect:
        client = await connect()
        for part in (HEAD[:5], HEAD[5:], b"ab", b"cd" + HEAD + b"wx", b"yz"):
            await client.send(part)

        answers = [await client.answer(), await client.answer()]

    assert [answer[-4:] for answer in answers] == [b"abcd", b"wxyz"]


async def test_one_connection_too_many_takes_the_place_of_the_one_that_waits_longest(app: App) -> None:
    async with serving(app, connections=3) as connect:
        busy, oldest, waiting = [await connect() for _ in range(3)]
        await busy.send(GET)
        await eventually(lambda: app.held == 1)

        late = await connect()
        await late.send(HEAD + b"abcd")

        assert (await late.answer()).endswith(b"abcd")
        assert await oldest.rest() == b""
        await waiting.send(HEAD + b"abcd")
        assert (await waiting.answer()).endswith(b"abcd")
        app.go.set()
        assert (await busy.answer()).endswith(b'"went"')


async def test_who_has_just_been_answered_waits_for_less_time_than_who_never_asked(app: App) -> None:
    async with serving(app, connections=2) as connect:
        asks, silent = await connect(), await connect()
        await asks.send(HEAD + b"abcd")
        await asks.answer()

        late = await connect()
        await late.send(HEAD + b"wxyz")

        assert (await late.answer()).endswith(b"wxyz")
        assert await silent.rest() == b""
        await asks.send(HEAD + b"abcd")
        assert (await asks.answer()).endswith(b"abcd")


async def test_where_every_connection_has_a_request_one_more_is_refused_at_once(app: App) -> None:
    async with serving(app, connections=2) as connect:
        for _ in range(2):
            await (await connect()).send(GET)
        await eventually(lambda: app.held == 2)

        refused = await (await connect()).rest()

    assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert code(refused) == "UNAVAILABLE"


def test_the_shipped_limits() -> None:
    assert HttpLimits() == HttpLimits(head=10, body=30, unread=30, keep_alive=5, head_bytes=16384, connections=500)


async def test_a_client_is_known_by_its_connection_whatever_address_it_writes(app: App) -> None:
    """Limits count by address: who chose it would have as many guesses as there are addresses."""
    chosen = b"".join(
        b"%s: %s\r\n" % each for each in [(b"x-forwarded-for", b"203.0.113.7"), (b"forwarded", b"for=203.0.113.7")]
    )
    async with serving(app) as connect:
        client = await connect()
        await client.send(b"GET /address HTTP/1.1\r\nhost: here\r\n" + chosen + b"\r\n")

        answer = await client.answer()

    assert answer.endswith(b'"127.0.0.1"')


def test_no_answer_waits_for_the_acknowledgement_of_the_one_before() -> None:
    """asyncio turns Nagle's algorithm off for a socket that says it is of TCP, and for no other."""
    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
