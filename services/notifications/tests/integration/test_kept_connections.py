"""A connection to the mail server is kept for the next e-mail, and no e-mail is lost or doubled by that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from aiosmtpd.smtp import SMTP
from backing_services.waiting import eventually
from notifications.app import create_mailer
from notifications.domain import Kind
from notifications.mailer import SmtpMailer
from notifications.ports import MailerUnavailableError
from notifications.settings import Settings
from notifications.smtp import KEEP_SECONDS, SmtpConnections, SmtpServer
from outboxed.process import bind
from outboxed.tasks import CallThread

from ..factories import EMAIL

LONG = 60.0


@dataclass
class Server:
    """A mail server that counts its connections; `replies` are its next answers to MAIL."""

    port: int = 0
    connections: list[SMTP] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    goodbyes: int = 0
    silent: bool = False

    async def handle_MAIL(self, _: Any, __: Any, envelope: Any, address: str, *___: Any) -> str:  # noqa: N802 - aiosmtpd's
        envelope.mail_from = address
        return self.replies.pop() if self.replies else "250 OK"

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        self.taken.append(envelope.content.decode())
        if self.silent:
            self.hang_up()
        return "250 OK"

    async def handle_QUIT(self, *_: Any) -> str:  # noqa: N802 - aiosmtpd's
        await asyncio.sleep(0.02)  # cancelled where the client doesn't wait for the answer
        self.goodbyes += 1
        return "221 Bye"

    def connection(self) -> SMTP:
        self.connections.append(SMTP(self, hostname="mail", loop=asyncio.get_running_loop()))
        return self.connections[-1]

    @property
    def open(self) -> list[SMTP]:
        return [each for each in self.connections if each.transport and not each.transport.is_closing()]

    def hang_up(self) -> None:
        for each in self.open:
            each.transport.close()  # type: ignore[union-attr]  # an open one has it


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server, listener = Server(), bind("127.0.0.1", 0)
    server.port = listener.getsockname()[1]
    listening = await asyncio.get_running_loop().create_server(server.connection, sock=listener)
    yield server
    listening.close()
    server.hang_up()
    await listening.wait_closed()


@asynccontextmanager
async def mailer_of(
    server: Server, *, keep: float = LONG, thread: CallThread | None = None
) -> AsyncIterator[SmtpMailer]:
    where = SmtpServer("127.0.0.1", server.port, starttls=False, username="", password="", timeout=5)
    connections = SmtpConnections(where, keep=keep)
    mailer = SmtpMailer(connections, sender="orders@shop.example", domain="shop.example", thread=thread)
    yield mailer
    await mailer.close()


async def send(mailer: SmtpMailer) -> None:
    await mailer.send(Kind.CONFIRMATION, EMAIL, uuid4())


async def test_emails_one_after_the_other_share_a_connection(server: Server) -> None:
    async with mailer_of(server) as mailer:
        for _ in range(3):
            await send(mailer)

    assert (len(server.connections), len(server.taken)) == (1, 3)


async def test_the_service_keeps_its_connections(server: Server) -> None:
    mailer = create_mailer(Settings(environment="test", smtp_port=server.port), CallThread("smtp"))

    for _ in range(2):
        await send(mailer)
    await mailer.close()

    assert (len(server.connections), len(server.taken)) == (1, 2), "each e-mail pays for a conversation of its own"


async def test_emails_at_one_time_have_a_connection_each_and_all_are_ended_in_the_end(server: Server) -> None:
    async with mailer_of(server) as mailer:
        await asyncio.gather(*(send(mailer) for _ in range(3)))
        await send(mailer)
        assert len(server.connections) == 3

    await eventually(lambda: not server.open, every=0.001)


@pytest.mark.parametrize("in_a_thread", [False, True])
async def test_a_mailer_that_is_closed_has_said_goodbye_in_each_conversation(
    server: Server, monkeypatch: pytest.MonkeyPatch, *, in_a_thread: bool
) -> None:
    """A mail server logs an error for a client that hangs up instead; and the thread ends right after."""
    monkeypatch.setattr("notifications.smtp.GOODBYE_SECONDS", LONG)
    async with mailer_of(server, thread=CallThread("smtp") if in_a_thread else None) as mailer:
        await asyncio.gather(*(send(mailer) for _ in range(3)))

    assert server.goodbyes == len(server.connections) > 0


async def test_a_connection_that_the_server_ended_meanwhile_costs_no_attempt(server: Server) -> None:
    async with mailer_of(server) as mailer:
        await send(mailer)
        server.hang_up()
        await send(mailer)

    assert (len(server.connections), len(server.taken)) == (2, 2)


async def test_a_server_that_wants_to_end_the_conversation_gets_the_email_in_the_next_one(server: Server) -> None:
    async with mailer_of(server) as mailer:
        await send(mailer)
        server.replies = ["421 4.7.0 too many e-mails, come again"]
        await send(mailer)

    assert (len(server.connections), len(server.taken)) == (2, 2)


async def test_a_new_connection_that_is_refused_is_not_tried_again_at_once(server: Server) -> None:
    server.replies = ["421 4.7.0 not now"]
    async with mailer_of(server) as mailer:
        with pytest.raises(MailerUnavailableError):
            await send(mailer)

    assert (len(server.connections), len(server.taken)) == (1, 0)


async def test_an_email_whose_outcome_is_unknown_is_not_sent_again_on_another_connection(server: Server) -> None:
    async with mailer_of(server) as mailer:
        await send(mailer)
        server.silent = True
        with pytest.raises(MailerUnavailableError):
            await send(mailer)

    assert (len(server.connections), len(server.taken)) == (1, 2)


async def test_an_idle_connection_is_let_go(server: Server) -> None:
    async with mailer_of(server, keep=0.01) as mailer:
        await send(mailer)
        await eventually(lambda: not server.open, every=0.001)

        await send(mailer)

    assert len(server.connections) == 2


async def test_a_connection_that_was_used_again_is_let_go_once(server: Server) -> None:
    loop, failed = asyncio.get_running_loop(), list[Any]()
    loop.set_exception_handler(lambda _, context: failed.append(context))
    async with mailer_of(server, keep=0.05) as mailer:
        for _ in range(3):
            await send(mailer)
        last = loop.time()
        await eventually(lambda: not server.open, every=0.001)
        await eventually(lambda: loop.time() > last + 0.06, every=0.001)

    assert failed == []


def test_the_mail_server_does_not_end_a_kept_connection_first() -> None:
    """RFC 5321, 4.5.3.2.7: it waits for five minutes; many wait for less, and each end by it costs a warning there."""
    assert KEEP_SECONDS <= 30


async def test_a_refusal_ends_its_connection(server: Server) -> None:
    async with mailer_of(server) as mailer:
        await send(mailer)
        server.replies = ["451 4.3.0 later"]
        with pytest.raises(MailerUnavailableError):
            await send(mailer)
        await send(mailer)

    assert (len(server.connections), len(server.taken)) == (2, 2)
