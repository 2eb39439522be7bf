"""The mailer against a real SMTP server: what arrives, what is refused, and what comes twice."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from backing_services.processes import free_port
from mail_catcher.smtp import Login
from notifications.app import create_mailer
from notifications.domain import Kind
from notifications.ports import EmailRefusedError, MailerUnavailableError
from notifications.settings import Settings
from outboxed.settings import load

from ..factories import EMAIL
from .conftest import Mailbox, mailbox_on_loopback

LOGIN: dict[str, Any] = {"username": "shop", "password": "secret"}


async def test_an_email_arrives_with_both_texts_and_the_message_id_that_was_returned(mailbox: Mailbox) -> None:
    order_id = uuid4()

    message_id = await mailbox.mailer().send(Kind.CONFIRMATION, EMAIL, order_id)

    [caught] = mailbox.store
    assert message_id == f"<{caught.message_id}>" == f"<confirmation.{order_id}@shop.example>"
    assert [each.address for each in caught.to] == [EMAIL]
    assert not caught.bcc
    assert caught.sender is not None
    assert caught.sender.address == "orders@shop.example"
    assert str(order_id) in caught.text
    assert str(order_id) in caught.html


@pytest.mark.parametrize(
    ("sender", "name", "address"),
    [
        ("Shop <bestellung@bücher.example>", "Shop", "bestellung@xn--bcher-kva.example"),
        ('"Shop, Inc." <orders@shop.example>', "Shop, Inc.", "orders@shop.example"),
        ("Bücher <orders@shop.example>", "Bücher", "orders@shop.example"),
    ],
)
async def test_an_email_is_from_the_sender_that_is_set(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, sender: str, name: str, address: str
) -> None:
    # chatwoot#15278, nodemailer#377: a name with a comma became two addresses, a domain beyond ASCII was refused
    monkeypatch.setenv("NOTIFICATIONS_SMTP_SENDER", sender)
    monkeypatch.setenv("NOTIFICATIONS_SMTP_PORT", str(mailbox.port))

    await create_mailer(load(Settings)).send(Kind.CONFIRMATION, EMAIL, uuid4())

    [caught] = mailbox.store
    assert caught.sender is not None
    assert (caught.sender.name, caught.sender.address) == (name, address)


async def test_an_address_beyond_ascii_gets_its_email(mailbox: Mailbox) -> None:
    await mailbox.mailer().send(Kind.REFUND, "zoë@example.com", uuid4())

    [caught] = mailbox.store
    assert [each.address for each in caught.to] == ["zoë@example.com"]


async def test_a_refusal_for_now_is_tried_again(mailbox: Mailbox) -> None:
    mailbox.fault(action="status", status=451)

    with pytest.raises(MailerUnavailableError, match="refused the recipient with 451"):
        await mailbox.mailer().send(Kind.CONFIRMATION, EMAIL, uuid4())
    await mailbox.mailer().send(Kind.CONFIRMATION, EMAIL, uuid4())

    assert len(mailbox.store) == 1


async def test_a_final_refusal_is_told_without_the_address(mailbox: Mailbox) -> None:
    mailbox.fault(action="status", status=550)

    with pytest.raises(EmailRefusedError, match=r"^the mail server refused the recipient with 550 5\.1\.1$"):
        await mailbox.mailer().send(Kind.CONFIRMATION, EMAIL, uuid4())

    assert len(mailbox.store) == 0


async def test_a_server_that_hangs_is_given_up_after_the_time_out(mailbox: Mailbox) -> None:
    mailbox.fault(action="hang")

    with pytest.raises(MailerUnavailableError, match="TimeoutError"):
        await mailbox.mailer(timeout=0.05).send(Kind.CONFIRMATION, EMAIL, uuid4())

    assert len(mailbox.store) == 0


@asynccontextmanager
async def slow_mailbox(*, seconds: float = 0, goodbye: bool = True) -> AsyncIterator[Mailbox]:
    """A server that takes `seconds` for each answer, and may leave QUIT without one."""

    conversations = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.append(asyncio.current_task())
        with closing(writer):
            await converse(reader, writer)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 slow\r\n")
        verb = b""
        async for line in reader:
            if verb == b"DATA" and line != b".\r\n":
                continue
            verb = line.split()[0].upper()
            if verb == b"QUIT" and not goodbye:
                continue
            await asyncio.sleep(seconds)
            writer.write(b"354 go on\r\n" if verb == b"DATA" else b"250 OK\r\n")

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield Mailbox(store=None, faults=None, port=server.sockets[0].getsockname()[1])  # type: ignore[arg-type]  # no need
    for conversation in filter(None, conversations):
        conversation.cancel()
    await asyncio.gather(*filter(None, conversations), return_exceptions=True)


async def test_the_time_out_is_for_the_whole_conversation_and_not_for_each_step() -> None:
    async with slow_mailbox(seconds=0.05) as mailbox:
        with pytest.raises(MailerUnavailableError, match="TimeoutError"):
            await mailbox.mailer(timeout=0.15).send(Kind.CONFIRMATION, EMAIL, uuid4())


async def test_a_server_that_took_the_email_and_then_falls_silent_is_sent_no_second_one() -> None:
    async with slow_mailbox(goodbye=False) as mailbox:
        assert await mailbox.mailer().send(Kind.CONFIRMATION, EMAIL, uuid4())


async def test_an_email_that_is_cut_after_data_comes_again_under_the_same_message_id(mailbox: Mailbox) -> None:
    order_id = uuid4()
    mailbox.fault(action="drop_after_data")

    with pytest.raises(MailerUnavailableError):
        await mailbox.mailer().send(Kind.CONFIRMATION, EMAIL, order_id)
    await mailbox.mailer().send(Kind.CONFIRMATION, EMAIL, order_id)

    assert [caught.message_id for caught in mailbox.store] == [f"confirmation.{order_id}@shop.example"] * 2


async def test_a_server_that_is_not_there_is_tried_again() -> None:
    nobody = Mailbox(store=None, faults=None, port=free_port())  # type: ignore[arg-type]  # there is none

    with pytest.raises(MailerUnavailableError, match="SMTPConnectError"):
        await nobody.mailer().send(Kind.CONFIRMATION, EMAIL, uuid4())


@pytest.fixture
async def secure_mailbox(certificate: tuple[Path, Path]) -> AsyncIterator[Mailbox]:
    """Takes e-mails over TLS and after a login only."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    async with mailbox_on_loopback(context, Login(**LOGIN)) as mailbox:
        yield mailbox


@pytest.fixture
def trusted(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The system trusts the mailbox's certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))


@pytest.mark.usefixtures("trusted")
async def test_an_email_goes_over_tls_after_a_login(secure_mailbox: Mailbox) -> None:
    mailer = secure_mailbox.mailer(host="localhost", starttls=True, **LOGIN)

    await mailer.send(Kind.CONFIRMATION, EMAIL, uuid4())

    assert len(secure_mailbox.store) == 1


@pytest.mark.usefixtures("trusted")
async def test_a_wrong_login_is_a_setting_to_repair_and_no_refusal_of_the_email(secure_mailbox: Mailbox) -> None:
    mailer = secure_mailbox.mailer(host="localhost", starttls=True, username="shop", password="canary")

    with pytest.raises(MailerUnavailableError) as unavailable:
        await mailer.send(Kind.CONFIRMATION, EMAIL, uuid4())

    assert "canary" not in str(unavailable.value)


async def test_a_server_that_nobody_vouches_for_gets_no_email(secure_mailbox: Mailbox) -> None:
    mailer = secure_mailbox.mailer(host="localhost", starttls=True, **LOGIN)

    with pytest.raises(MailerUnavailableError):
        await mailer.send(Kind.CONFIRMATION, EMAIL, uuid4())

    assert len(secure_mailbox.store) == 0
