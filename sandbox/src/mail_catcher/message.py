"""A caught message: what its bytes say."""

import email
import email.policy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import getaddresses, parsedate_to_datetime
from uuid import uuid4

_SNIPPET_LENGTH = 250  # as Mailpit's


@dataclass(frozen=True, slots=True)
class Address:
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Attachment:
    part_id: str
    file_name: str
    content_type: str
    content_id: str
    size: int


@dataclass(frozen=True, slots=True)
class Message:
    """`size` is in bytes; `bcc` holds the recipients that the headers don't name."""

    message_id: str
    return_path: str
    sender: Address | None
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str
    date: datetime | None
    text: str
    html: str
    size: int
    inline: tuple[Attachment, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    id: str = field(default_factory=lambda: uuid4().hex)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def snippet(self) -> str:
        return " ".join(self.text.split())[:_SNIPPET_LENGTH]


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message as it arrived: to read it takes longer than to take it in."""

    content: bytes
    mail_from: str
    recipients: tuple[str, ...]
    id: str = field(default_factory=lambda: uuid4().hex)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    def read(self) -> Message:
        """What its bytes say."""
        message = read_message(self.content, self.mail_from, self.recipients)
        return replace(message, id=self.id, created=self.created)


def read_message(content: bytes, mail_from: str, recipients: Sequence[str]) -> Message:
    mail = email.message_from_bytes(content, policy=email.policy.default)
    to, cc = _addresses(mail, "To"), _addresses(mail, "Cc")
    named = {each.address.lower() for each in (*to, *cc)}
    inline, attachments = _files(mail)
    return Message(
        message_id=_header(mail, "Message-ID").strip("<>"),
        return_path=mail_from,
        sender=next(iter(_addresses(mail, "From")), None),
        to=to,
        cc=cc,
        bcc=tuple(Address("", recipient) for recipient in recipients if recipient.lower() not in named),
        reply_to=_addresses(mail, "Reply-To"),
        subject=_header(mail, "Subject"),
        date=_date(mail),
        text=_body(mail, "plain"),
        html=_body(mail, "html"),
        size=len(content),
        inline=tuple(inline),
        attachments=tuple(attachments),
    )


def _header(mail: EmailMessage, name: str) -> str:
    return str(mail.get(name, "")).strip()


def _addresses(mail: EmailMessage, name: str) -> tuple[Address, ...]:
    headers: Iterable[object] = mail.get_all(name, [])
    return tuple(Address(shown, address) for shown, address in getaddresses([str(h) for h in headers]) if address)


def _date(mail: EmailMessage) -> datetime | None:
    try:
        return parsedate_to_datetime(_header(mail, "Date"))
    except ValueError:
        return None


def _body(mail: EmailMessage, kind: str) -> str:
    for part in mail.walk():
        if part.get_content_type() == f"text/{kind}" and not part.is_attachment():
            return _text(part)
    return ""


def _text(part: EmailMessage) -> str:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    try:
        return content.decode(part.get_content_charset("utf-8"), errors="replace").replace("\r\n", "\n")
    except LookupError:  # a charset that nobody knows
        return content.decode("utf-8", errors="replace").replace("\r\n", "\n")


def _files(mail: EmailMessage) -> tuple[list[Attachment], list[Attachment]]:
    inline: list[Attachment] = []
    attachments: list[Attachment] = []
    for number, part in enumerate(mail.walk()):
        if part.is_multipart() or not (part.is_attachment() or part.get_filename() or part["Content-ID"]):
            continue
        payload = part.get_payload(decode=True)
        found = Attachment(
            part_id=str(number),
            file_name=part.get_filename() or "",
            content_type=part.get_content_type(),
            content_id=_header(part, "Content-ID").strip("<>"),
            size=len(payload) if isinstance(payload, bytes) else 0,
        )
        (attachments if part.is_attachment() else inline).append(found)
    return inline, attachments
