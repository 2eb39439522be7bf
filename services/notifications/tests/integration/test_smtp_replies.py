"""Every refusal of every step of SMTP: which are about the e-mail, and which about us, who then mend a setting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from notifications.domain import Kind
from notifications.mailer import SmtpMailer
from notifications.ports import EmailRefusedError, MailerUnavailableError
from notifications.smtp import SmtpConnections, SmtpServer
from outboxed.process import bind

from ..factories import EMAIL

OURS = "it takes nothing from us until NOTIFICATIONS_SMTP_* or the server's rules are mended"


class Refuses:
    """A handler of aiosmtpd that answers one step with a reply of its own."""

    def __init__(self, step: str, reply: str) -> None:
        setattr(self, f"handle_{step}", self._refuse)
        self._reply = reply
        self.taken = 0

    async def _refuse(self, *_: Any) -> str:
        return self._reply


@asynccontextmanager
async def serving(handler: Any, **options: Any) -> AsyncIterator[dict[str, Any]]:
    listener = bind("127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    connections: list[SMTP] = []

    def connection() -> SMTP:
        connections.append(SMTP(handler, hostname="refuses", enable_SMTPUTF8=False, loop=loop, **options))
        return connections[-1]

    server = await loop.create_server(connection, sock=listener)
    try:
        yield {"host": "127.0.0.1", "port": listener.getsockname()[1]}
    finally:
        server.close()
        for each in connections:
            if isinstance(each.transport, asyncio.WriteTransport):
                each.transport.abort()
        await server.wait_closed()


async def send(server: dict[str, Any], **changes: Any) -> str:
    parts = {"starttls": False, "username": "", "password": "", "timeout": 5, **server, **changes}
    connections = SmtpConnections(SmtpServer(**parts), keep=0)
    mailer = SmtpMailer(connections, sender="orders@shop.example", domain="shop.example")
    return await mailer.send(Kind.CONFIRMATION, EMAIL, uuid4())


@pytest.mark.parametrize(
    ("step", "reply", "told"),
    [
        ("MAIL", "550 no", "the sender with 550"),
        ("MAIL", "530 5.7.0 Authentication required", "the sender with 530 5.7.0"),
        ("MAIL", "530 5.7.0 Must issue a STARTTLS command first", "the sender with 530 5.7.0"),
        ("MAIL", "550 5.7.1 not yours", "the sender with 550 5.7.1"),
        ("MAIL", "553 5.1.8 no such domain", "the sender with 553 5.1.8"),
        ("MAIL", "552 5.3.4 too large", "the sender with 552 5.3.4"),
        ("MAIL", "501 5.5.4 syntax", "the sender with 501 5.5.4"),
        # Postfix tells by default only at RCPT what it has against the sender
        ("RCPT", "530 5.7.0 Authentication required", "the recipient with 530 5.7.0"),
        ("RCPT", "535 5.7.8 wrong", "the recipient with 535 5.7.8"),
        ("RCPT", "538 encryption required", "the recipient with 538"),
        ("RCPT", "550 5.1.8 <orders@shop.example>: Sender address rejected", "the recipient with 550 5.1.8"),
        ("RCPT", "553 5.7.1 Sender address rejected: not owned by user", "the recipient with 553 5.7.1"),
        ("RCPT", "554 5.7.1 Relay access denied", "the recipient with 554 5.7.1"),
        ("RCPT", "554 denied", "the recipient with 554"),
        ("RCPT", "503 bad sequence", "the recipient with 503"),
        ("DATA", "550 5.7.26 unauthenticated", "the message with 550 5.7.26"),
        ("DATA", "554 5.7.1 our address is on a list", "the message with 554 5.7.1"),
        ("DATA", "530 log in", "the message with 530"),
    ],
)
async def test_a_refusal_of_us_is_told_as_such_and_the_email_waits(step: str, reply: str, told: str) -> None:
    async with serving(Refuses(step, reply)) as server:
        with pytest.raises(MailerUnavailableError) as unavailable:
            await send(server)

    assert str(unavailable.value) == f"the mail server refused {told}: {OURS}"


@pytest.mark.parametrize(
    ("step", "reply", "told"),
    [
        ("RCPT", "550 no such user", "the recipient with 550"),
        ("RCPT", "550 5.1.1 no such user", "the recipient with 550 5.1.1"),
        ("RCPT", "550 5.1.10 null MX", "the recipient with 550 5.1.10"),
        ("RCPT", "552 5.2.2 full", "the recipient with 552 5.2.2"),
        ("RCPT", "553 name not allowed", "the recipient with 553"),
        ("RCPT", "550 5.4.1 Recipient address rejected: Access denied", "the recipient with 550 5.4.1"),
        ("RCPT", "554 5.1.2 no such domain", "the recipient with 554 5.1.2"),
        ("DATA", "554 transaction failed", "the message with 554"),
        ("DATA", "550 5.2.1 disabled", "the message with 550 5.2.1"),
        ("DATA", "554 5.6.0 not this content", "the message with 554 5.6.0"),
    ],
)
async def test_a_refusal_of_the_email_is_final(step: str, reply: str, told: str) -> None:
    async with serving(Refuses(step, reply)) as server:
        with pytest.raises(EmailRefusedError) as refused:
            await send(server)

    assert str(refused.value) == f"the mail server refused {told}"


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
async def test_a_refusal_for_now_blames_nobody(step: str) -> None:
    async with serving(Refuses(step, "451 4.7.1 greylisted")) as server:
        with pytest.raises(MailerUnavailableError, match=r"with 451$"):
            await send(server)


async def test_a_server_that_greets_nobody_is_waited_for() -> None:
    class Unfriendly(Refuses):
        async def handle_HELO(self, _: SMTP, __: Any, ___: Any, ____: str) -> str:  # noqa: N802 - aiosmtpd's name
            return "550 go away"

        async def handle_EHLO(  # noqa: N802 - the same
            self, _: SMTP, __: Any, ___: Any, ____: str, _____: list[str]
        ) -> list[str]:
            return ["550 go away"]

    async with serving(Unfriendly("MAIL", "250 OK")) as server:
        with pytest.raises(MailerUnavailableError, match="SMTPHeloError"):
            await send(server)


async def test_tls_or_a_login_that_the_server_does_not_have_is_waited_for() -> None:
    async with serving(Refuses("NOOP", "250 OK")) as server:
        with pytest.raises(MailerUnavailableError, match="can't be used: SMTPException"):
            await send(server, starttls=True)
        with pytest.raises(MailerUnavailableError, match="can't be used: SMTPException"):
            await send(server, username="shop", password="canary")


@pytest.mark.parametrize("reply", ["535 5.7.8 wrong", "534 5.7.9 too weak", "550 5.7.1 not you"])
async def test_a_login_that_is_refused_is_waited_for(reply: str) -> None:
    def authenticate(*_: Any) -> AuthResult:
        return AuthResult(success=False, handled=False, message=reply)

    options = {"auth_require_tls": False, "authenticator": authenticate}
    async with serving(Refuses("NOOP", "250 OK"), **options) as server:
        with pytest.raises(MailerUnavailableError) as unavailable:
            await send(server, username="shop", password="canary")

    assert str(unavailable.value) == f"the mail server refused the login with {reply[:9]}: {OURS}"
