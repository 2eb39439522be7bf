"""What an e-mail says, without a server."""

import asyncio
import email
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTPUTF8
from uuid import UUID

import aiosmtplib
import pytest
from notifications.domain import Kind
from notifications.mailer import SmtpMailer
from notifications.ports import EmailRefusedError, MailerUnavailableError
from notifications.smtp import GOODBYE_SECONDS, SmtpConnections, SmtpServer
from outboxed.testing.tracking.spans import recorded

ORDER_ID = UUID("5f0e7a3c-53c6-4c3e-8a51-6f6a7c2f9d10")
SERVER = SmtpServer(host="smtp", port=25, starttls=False, username="", password="", timeout=5)


class Outgoing:
    """In the place of aiosmtplib's client: keeps the message, or raises `error`."""

    awaits_answer = False
    is_connected = False
    is_ehlo_or_helo_needed = True

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.envelopes: list[tuple[str, str, tuple[str, ...]]] = []
        self.extensions: Sequence[str] = ()
        self.error: Exception | None = None
        self.error_at_goodbye: Exception | None = None
        self.closed = 0
        self.hangs = False

    def __call__(self, **_: object) -> "Outgoing":
        return self

    async def connect(self) -> None:
        pass

    async def ehlo(self) -> None:
        self.extensions = ("smtputf8",)

    def supports_extension(self, name: str) -> bool:
        return name in self.extensions

    async def sendmail(self, sender: str, recipient: str, content: bytes, *, mail_options: Sequence[str]) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.messages.append(email.message_from_bytes(content, policy=SMTPUTF8))
        self.envelopes.append((sender, recipient, tuple(mail_options)))

    async def quit(self) -> None:
        if self.error_at_goodbye is not None:
            raise self.error_at_goodbye

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def outgoing(monkeypatch: pytest.MonkeyPatch) -> Outgoing:
    outgoing = Outgoing()
    monkeypatch.setattr("notifications.smtp.Client", outgoing)
    return outgoing


@pytest.fixture
def mailer() -> SmtpMailer:
    return SmtpMailer(SmtpConnections(SERVER, keep=0), sender="Shop <orders@shop.example>", domain="shop.example")


async def send(mailer: SmtpMailer, kind: Kind, email: str = "ada@example.com") -> str:
    return await mailer.send(kind, email, ORDER_ID)


@pytest.mark.parametrize("kind", Kind)
async def test_an_email_names_its_order_in_plain_text_and_html(
    mailer: SmtpMailer, outgoing: Outgoing, kind: Kind
) -> None:
    await send(mailer, kind)

    [message] = outgoing.messages
    plain, html = message.iter_parts()
    assert message.get_content_type() == "multipart/alternative"
    assert [plain.get_content_type(), html.get_content_type()] == ["text/plain", "text/html"]
    assert all(str(ORDER_ID) in part.get_content() for part in (plain, html))


@pytest.mark.parametrize(
    ("kind", "word"), [(Kind.CONFIRMATION, "confirmed"), (Kind.CANCELLATION, "cancelled"), (Kind.REFUND, "returned")]
)
async def test_an_email_says_what_happened_and_nothing_else(
    mailer: SmtpMailer, outgoing: Outgoing, kind: Kind, word: str
) -> None:
    await send(mailer, kind)

    [message] = outgoing.messages
    for part in message.iter_parts():
        said = {each for each in ("confirmed", "cancelled", "returned") if each in part.get_content()}
        assert said == {word}


@pytest.mark.parametrize("kind", Kind)
async def test_a_message_id_is_that_of_the_kind_and_the_order_however_often_it_is_sent(
    mailer: SmtpMailer, outgoing: Outgoing, kind: Kind
) -> None:
    returned = [await send(mailer, kind), await send(mailer, kind)]

    expected = f"<{kind.value}.{ORDER_ID}@shop.example>"
    assert returned == [expected, expected]
    assert [message["Message-ID"] for message in outgoing.messages] == [expected, expected]


async def test_the_kinds_of_email_can_be_told_apart_by_their_subject(mailer: SmtpMailer, outgoing: Outgoing) -> None:
    for kind in Kind:
        await send(mailer, kind)

    assert len({message["Subject"] for message in outgoing.messages}) == 3


async def test_an_email_goes_from_the_shop_to_the_customer_alone(mailer: SmtpMailer, outgoing: Outgoing) -> None:
    await send(mailer, Kind.CONFIRMATION, "zoë@example.com")

    [message] = outgoing.messages
    assert (message["From"], message["To"]) == ("Shop <orders@shop.example>", "zoë@example.com")
    assert message["Date"]
    assert not message["Cc"]
    assert not message["Bcc"]
    assert outgoing.envelopes == [("orders@shop.example", "zoë@example.com", ("SMTPUTF8",))]


async def test_a_connection_on_which_an_email_was_cut_off_is_closed(outgoing: Outgoing) -> None:
    """A server that hangs would else cost a socket an attempt, until the process has none left."""
    outgoing.hangs = True
    mailer = SmtpMailer(
        SmtpConnections(replace(SERVER, timeout=0.01), keep=60), sender="orders@shop.example", domain="shop.example"
    )

    for attempt in (1, 2):
        with pytest.raises(MailerUnavailableError, match="TimeoutError"):
            await send(mailer, Kind.CONFIRMATION)
        assert outgoing.closed == attempt


def test_a_server_that_hangs_has_a_moment_to_say_goodbye() -> None:
    """The end of a process, and so each release, waits for it."""
    assert GOODBYE_SECONDS <= 1


async def test_an_email_has_the_time_at_which_it_is_sent(
    mailer: SmtpMailer, outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    dates = [datetime(2026, 1, 15, 12, 0, tzinfo=UTC), datetime(2026, 2, 20, 8, 30, tzinfo=UTC)]
    for date in dates:
        monkeypatch.setattr(time, "time", date.timestamp)
        await send(mailer, Kind.CONFIRMATION)

    assert [message["Date"].datetime.replace(tzinfo=UTC) for message in outgoing.messages] == dates


async def test_an_address_beyond_ascii_is_refused_where_the_server_takes_none(
    mailer: SmtpMailer, outgoing: Outgoing
) -> None:
    outgoing.is_ehlo_or_helo_needed = False  # it has greeted, and offered nothing

    with pytest.raises(EmailRefusedError):
        await send(mailer, Kind.CONFIRMATION, "zoë@example.com")

    assert not outgoing.messages


@pytest.mark.parametrize(
    "address", ["a" * 64 + "@" + "b" * 60 + ".example", "o'brien+shop@example.com", "zoë@exämple.com"]
)
async def test_an_address_stays_what_it_is_however_long(mailer: SmtpMailer, outgoing: Outgoing, address: str) -> None:
    await send(mailer, Kind.REFUND, address)

    assert [str(message["To"]) for message in outgoing.messages] == [address]
    assert [envelope[1] for envelope in outgoing.envelopes] == [address]


@pytest.mark.parametrize(
    "email",
    [
        "ada@example.com\nBcc: eve@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com, eve@example.com",
        "Ada <ada@example.com>, eve@example.com",
        "ada@example.com\0",
        "=?utf-8?q?ada?=@example.com",
        "=?utf-8?q?ada=40example=2Ecom=2C?= eve@example.com",
        "ada@exam\u0085ple.com",
        "nobody",
        "",
        "two words@example.com",
    ],
)
async def test_no_address_can_add_a_header_or_a_recipient(mailer: SmtpMailer, outgoing: Outgoing, email: str) -> None:
    with pytest.raises(EmailRefusedError) as refused:
        await send(mailer, Kind.CONFIRMATION, email)

    assert not outgoing.messages
    assert len(email) < 2 or email not in str(refused.value)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(550, "no ada@example.com", "ada")]), 550),
        (aiosmtplib.SMTPDataError(554, "no ada@example.com"), 554),
    ],
)
async def test_a_final_refusal_is_told_by_its_code_and_without_the_address(
    mailer: SmtpMailer, outgoing: Outgoing, error: Exception, outcome: int
) -> None:
    outgoing.error = error

    with pytest.raises(EmailRefusedError, match=f"with {outcome}$"):
        await send(mailer, Kind.CONFIRMATION)


@pytest.mark.parametrize(
    "error",
    [
        aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(451, "later", "ada")]),
        aiosmtplib.SMTPDataError(452, "full"),
        aiosmtplib.SMTPAuthenticationError(535, "wrong password"),
        aiosmtplib.SMTPSenderRefused(530, "log in first", "orders@shop.example"),
        aiosmtplib.SMTPServerDisconnected("gone"),
        aiosmtplib.SMTPConnectError("nobody there"),
        aiosmtplib.SMTPReadTimeoutError("too slow"),
        ConnectionResetError("cut"),
        TimeoutError("too slow"),
    ],
)
async def test_whatever_else_goes_wrong_the_email_is_tried_again(
    mailer: SmtpMailer, outgoing: Outgoing, error: Exception
) -> None:
    outgoing.error = error

    with pytest.raises(MailerUnavailableError) as unavailable:
        await send(mailer, Kind.CONFIRMATION)

    assert "ada" not in str(unavailable.value)


@pytest.mark.parametrize("error", [None, aiosmtplib.SMTPServerDisconnected("gone"), ConnectionResetError("cut")])
async def test_what_goes_wrong_at_the_goodbye_makes_no_email_unsent(
    mailer: SmtpMailer, outgoing: Outgoing, error: Exception | None
) -> None:
    outgoing.error_at_goodbye = error

    await send(mailer, Kind.CONFIRMATION)

    assert len(outgoing.messages) == outgoing.closed == 1


async def test_an_email_that_is_refused_is_a_span_that_failed_without_its_address(
    mailer: SmtpMailer, outgoing: Outgoing
) -> None:
    outgoing.error = aiosmtplib.SMTPRecipientsRefused(
        [aiosmtplib.SMTPRecipientRefused(550, "no such user: ada@example.com", "ada@example.com")]
    )

    with recorded() as spans, pytest.raises(EmailRefusedError):
        await send(mailer, Kind.CONFIRMATION)

    [step] = spans.ended
    assert (step.name, step.service) == ("send e-mail", "mail server")
    assert step.outcome == "EmailRefusedError: the mail server refused the recipient with 550"
