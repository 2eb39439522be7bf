"""The mailer against a real SMTP server: what arrives, what is refused, and what comes twice."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
from backing_services.processes import free_port
from mail_catcher.smtp import Login
from notifications.app import create_mailer
from notifications.domain import Kind
from notifications.ports import EmailRefusedError, MailerUnavailableError
from notifications.settings import Settings
from outboxed.settings import load
from outboxed.tasks import CallThread

from ..factories import EMAIL
from .conftest import Mailbox, mailbox_on_loopback

PATIENCE = 30.0  # seconds
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


@pytest.mark.parametrize("local", ["a", "a.b+c-d_e" * 3, "a" * 48, "a" * 64], ids=len)
@pytest.mark.parametrize("domain", ["d.example", "d" * 40 + ".example", f"{'d' * 60}." * 3 + "example"], ids=len)
async def test_an_address_of_any_length_survives_the_folding_of_its_header(
    mailbox: Mailbox, local: str, domain: str
) -> None:
    await mailbox.mailer().send(Kind.CONFIRMATION, f"{local}@{domain}", uuid4())

    [caught] = mailbox.store
    assert [each.address for each in caught.to] == [f"{local}@{domain}"]


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


async def test_an_email_without_an_answer_after_data_is_named_in_the_log(mailbox: Mailbox) -> None:
    order_id = uuid4()
    mailbox.fault(action="drop_after_data")

    with structlog.testing.capture_logs() as logs, pytest.raises(MailerUnavailableError):
        await mailbox.mailer().send(Kind.REFUND, EMAIL, order_id)

    unknown = [line for line in logs if line["event"] == "mail_outcome_unknown"]
    assert [line["message_id"] for line in unknown] == [f"<refund.{order_id}@shop.example>"]


async def test_an_email_that_was_refused_or_never_reached_data_has_a_known_outcome(mailbox: Mailbox) -> None:
    with structlog.testing.capture_logs() as logs:
        for status in (451, 550):
            mailbox.fault(action="status", status=status)
            with pytest.raises((MailerUnavailableError, EmailRefusedError)):
                await mailbox.mailer().send(Kind.REFUND, EMAIL, uuid4())
        await mailbox.mailer().send(Kind.REFUND, EMAIL, uuid4())
        async with slow_mailbox(seconds=0.05) as slow:
            with pytest.raises(MailerUnavailableError):
                await slow.mailer(timeout=0.06).send(Kind.REFUND, EMAIL, uuid4())

    assert "mail_outcome_unknown" not in {line["event"] for line in logs}


@asynccontextmanager
async def running_thread(name: str) -> AsyncIterator[CallThread]:
    thread = CallThread(name)
    yield thread
    await thread.close()


async def test_an_email_is_sent_while_the_event_loop_stands_still() -> None:
    async with running_thread("server") as server_thread, running_thread("smtp") as smtp:
        stack = AsyncExitStack()
        mailbox = await server_thread.run(lambda: stack.enter_async_context(mailbox_on_loopback()))
        sending = asyncio.create_task(mailbox.mailer(thread=smtp).send(Kind.CONFIRMATION, EMAIL, uuid4()))
        await asyncio.sleep(0)

        deadline = time.monotonic() + PATIENCE
        while not len(mailbox.store) and time.monotonic() < deadline:
            pass  # as a process does that handles a large batch
        arrived = len(mailbox.store)

        await sending
        await server_thread.run(stack.aclose)
    assert arrived == 1


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
