"""E-mails by SMTP: what they say, and which refusals are final."""

import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate
from html import escape
from typing import Any, Protocol
from uuid import UUID

import aiosmtplib
from outboxed.failpoints import failpoint
from outboxed.tasks import CallThread
from outboxed.telemetry import outgoing_call

from notifications.domain import Kind
from notifications.ports import EmailRefusedError, MailerUnavailableError
from notifications.smtp import Mail, SmtpServer

FINAL_CODES = {"the recipient": {550, 551, 552, 553}, "the message": {550, 552, 553, 554}}
"""Replies that are about this one e-mail where the server gives no enhanced status code (RFC 5321, 4.2.3 and 4.3.2).

Others say that we have no right to send, that a login or TLS is missing (RFC 4954, RFC 3207), or that we speak wrongly.
"""
_ENHANCED = re.compile(r"\s*5\.(\d{1,3})\.(\d{1,3})(?!\d)")
"""RFC 3463: class, subject and detail."""
_ABOUT_THE_RECIPIENT = {"1", "2", "6"}
"""Subjects: its address, its mailbox, its content."""
_ABOUT_THE_SENDER = {("1", "7"), ("1", "8")}
_ABOUT_ITS_DOMAIN = {("4", "1"), ("4", "4")}
"""Such as Exchange's reply to an unknown recipient."""
PERMANENT = 500
"""SMTP replies from here on are final (RFC 5321, section 4.2.1)."""


@dataclass(frozen=True)
class _Text:
    subject: str
    body: str


_TEXTS = {
    Kind.CONFIRMATION: _Text("Your order is confirmed", "Thank you: your order {order_id} is paid and confirmed."),
    Kind.CANCELLATION: _Text("Your order is cancelled", "Your order {order_id} is cancelled."),
    Kind.REFUND: _Text("Your money is on its way", "We returned what you paid for your order {order_id}."),
}


_ORDER_ID = b"ORDER-ID"
"""Its place in a form; in no text."""


class Connections(Protocol):
    """See SmtpConnections."""

    @property
    def server(self) -> SmtpServer: ...
    async def send(self, mail: Mail) -> None: ...
    async def close(self) -> None: ...


class SmtpMailer:
    """See ports.Mailer. `domain` is the right side of every Message-ID.

    In a `thread` of its own an e-mail doesn't wait behind the process's batches. Without one it's sent in the caller's
    event loop.
    """

    def __init__(self, connections: Connections, *, sender: str, domain: str, thread: CallThread | None = None) -> None:
        self._connections = connections
        self._returns_to = _addresses("From", sender).addresses[0].addr_spec
        self._forms = {kind: _form(text, sender) for kind, text in _TEXTS.items()}
        self._domain = domain
        self._thread = thread

    async def send(self, kind: Kind, email: str, order_id: UUID) -> str:
        mail = self._mail(kind, email, order_id)
        with outgoing_call("mail server", "send e-mail", self._said_of_server):
            await self._deliver(mail)
        return mail.message_id

    async def close(self) -> None:
        """End the conversations and the thread."""
        await self._where_mail_is_sent(self._connections.close)
        if self._thread is not None:
            await self._thread.close()

    def _mail(self, kind: Kind, email: str, order_id: UUID) -> Mail:
        try:
            to = _addresses("To", email)
        except (ValueError, MessageError) as error:
            raise EmailRefusedError(f"no e-mail can be made: {type(error).__name__}") from None
        if not _is_one_address(to, email):
            raise EmailRefusedError("the customer's address is not one address")
        message_id = f"<{kind.value}.{order_id}@{self._domain}>"
        own = (
            to.fold(policy=SMTP if email.isascii() else SMTPUTF8),
            f"Date: {formatdate()}\r\n",
            f"Message-ID: {message_id}\r\n",
        )
        form = self._forms[kind].replace(_ORDER_ID, str(order_id).encode())
        return Mail(message_id, self._returns_to, email, "".join(own).encode() + form)

    @failpoint("mailer.deliver")
    async def _deliver(self, mail: Mail) -> None:
        try:
            await self._where_mail_is_sent(lambda: self._connections.send(mail))
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refusal(error.recipients[0], "the recipient") from None
        except aiosmtplib.SMTPDataError as error:
            raise _refusal(error, "the message") from None
        except aiosmtplib.SMTPSenderRefused as error:
            raise _not_allowed("the sender", error) from None
        except aiosmtplib.SMTPAuthenticationError as error:
            raise _not_allowed("the login", error) from None
        except aiosmtplib.SMTPNotSupported:
            raise EmailRefusedError("the mail server can't take this address") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailerUnavailableError(f"the mail server can't be used: {type(error).__name__}") from None

    def _said_of_server(self) -> Mapping[str, str | int]:
        """The attributes of a span: for SMTP the semantic conventions have none of its own."""
        server = self._connections.server
        return {"server.address": server.host, "server.port": server.port, "network.protocol.name": "smtp"}

    async def _where_mail_is_sent(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._thread is None:
            await call()
        else:
            await self._thread.run(call)


def _form(text: _Text, sender: str) -> bytes:
    """What all e-mails of a kind have in common: making a message takes as long as everything else about an e-mail."""
    body = text.body.format(order_id=_ORDER_ID.decode())
    message = EmailMessage(SMTP)
    message["From"] = sender
    message["Subject"] = text.subject
    message.set_content(f"{body}\n", cte="7bit")  # no other encoding leaves the place of the order's id whole
    message.add_alternative(f"<p>{escape(body)}</p>\n", subtype="html", cte="7bit")
    return message.as_bytes()


def _addresses(header: str, value: str) -> Any:
    """The AddressHeader as it will be read. Raises ValueError for what would begin another one, MessageError."""
    return SMTP.header_store_parse(header, value)[1]


def _is_one_address(to: Any, email: str) -> bool:
    """Whether the To header is read as it was meant: `a,b@example.com` would be two recipients."""
    read = [address.addr_spec for address in to.addresses]
    return read == [email] and "@" in email and email.isprintable()


def _refusal(error: aiosmtplib.SMTPResponseException, what: str) -> Exception:
    """Final only where it is about this one e-mail; a mistake of ours is nobody's fault, and waits until it is mended.

    Without the server's words, which repeat the customer's address.
    """
    if error.code < PERMANENT:
        return MailerUnavailableError(f"the mail server refused {what} with {error.code}")
    if _is_about_the_email(error, what):
        return EmailRefusedError(f"the mail server refused {what} with {_code(error)}")
    return _not_allowed(what, error)


def _is_about_the_email(error: aiosmtplib.SMTPResponseException, what: str) -> bool:
    enhanced = _ENHANCED.match(error.message)
    if enhanced is None:
        return error.code in FINAL_CODES[what]
    subject, detail = enhanced.groups()
    if (subject, detail) in _ABOUT_THE_SENDER:
        return False
    return subject in _ABOUT_THE_RECIPIENT or (subject, detail) in _ABOUT_ITS_DOMAIN


def _not_allowed(what: str, error: aiosmtplib.SMTPResponseException) -> Exception:
    text = f"the mail server refused {what} with {_code(error)}"
    if error.code >= PERMANENT:
        text += ": it takes nothing from us until NOTIFICATIONS_SMTP_* or the server's rules are mended"
    return MailerUnavailableError(text)


def _code(error: aiosmtplib.SMTPResponseException) -> str:
    enhanced = _ENHANCED.match(error.message)
    return f"{error.code} {enhanced.group().strip()}" if enhanced else str(error.code)
