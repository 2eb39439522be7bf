"""CloudEvents 1.0 in Kafka's binary mode: attributes are `ce_` headers, the value is the data as JSON.

Source: CloudEvents Kafka protocol binding 1.0.2, section 3.2.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, Self, TypeVar

from pydantic import ValidationError

from outboxed.errors import EventTooLargeError, UndecodableRecordError
from outboxed.messages._events import ConsumedEvent, Event, rfc3339
from outboxed.messages._ids import new_event_id
from outboxed.messages._json import NotJSONError, validated
from outboxed.messages._reasons import summary

MAX_VALUE_BYTES = 512 * 1024
"""Half of Kafka's default record limit, so that every outbox row can be sent."""

MAX_KEY_BYTES = 2048
"""In UTF-8. An index of the outbox has topic, key and id of a row that Kafka refused, and PostgreSQL takes 2704 bytes:
the relay could neither keep nor send a row of a longer key."""

MAX_ID_CHARACTERS = 255

_IDENTIFYING = re.compile(rf"[^\x00-\x1f\x7f-\x9f]{{0,{MAX_ID_CHARACTERS}}}")

NOT_READ = "outboxed-not-read"
"""The header of a record that wasn't read whole: its value says why, and what is kept. A producer has no use for it."""

_REQUIRED = ("ce_type", "ce_id")

E = TypeVar("E", bound=ConsumedEvent)


@dataclass(frozen=True)
class Record:
    """A Kafka record as it was read: nothing decoded, nothing dropped."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @classmethod
    def of(cls, read: Any, *, topic_prefix: str = "") -> Self:
        """What Kafka's client has read; its topic without the prefix."""
        topic = read.topic.removeprefix(topic_prefix)
        return cls(topic, read.partition, read.offset, read.key, read.value, tuple(read.headers))


@dataclass(frozen=True)
class ProducerRecord:
    """A record as a Kafka producer takes it: all in bytes, the headers in order."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True)
class OutgoingRecord:
    """A record ready to be sent: what the outbox stores."""

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, str]

    def raw_headers(self) -> list[tuple[str, bytes]]:
        """The headers in Kafka's form."""
        return [(name, value.encode()) for name, value in self.headers.items()]

    def producer_record(self) -> ProducerRecord:
        """The record as its consumers read it; the relay makes the same of a row, in a shorter way."""
        return ProducerRecord(self.topic, self.key.encode(), self.value, self.raw_headers())


class EventIdentity(NamedTuple):
    """Which event it is: producers make ids unique only within their source (CloudEvents 1.0, `id`)."""

    source: str
    id: str


@dataclass(frozen=True)
class Attributes:
    """The envelope's attributes that consumers use; `source` is empty if a producer sends none.

    `not_read` says why the record wasn't read whole; it is empty for all others.
    """

    id: str
    type: str
    source: str = ""
    traceparent: str | None = None
    not_read: str = ""

    @property
    def identity(self) -> EventIdentity:
        """What the inbox knows the event by."""
        return EventIdentity(self.source, self.id)


@dataclass(frozen=True)
class Received(Generic[E]):
    """A decoded event with its envelope and the record that it came in."""

    attributes: Attributes
    event: E
    record: Record = field(repr=False)


def encode(  # noqa: PLR0913 - an envelope has that many parts
    event: Event, *, source: str, sequence: int, time: datetime, traceparent: str | None, event_id: str | None = None
) -> OutgoingRecord:
    """Put an event into its envelope, under a new id unless `event_id` is given.

    `sequence` is the version of the aggregate after the change; `source` is a path such as `/warehouse`.
    Raises EventTooLargeError over MAX_VALUE_BYTES or MAX_KEY_BYTES.
    """
    value = event.model_dump_json().encode()
    if len(value) > MAX_VALUE_BYTES:
        raise EventTooLargeError(f"{event.type} of {event.key} has {len(value)} bytes, the limit is {MAX_VALUE_BYTES}")
    check_key(event.key, event.type)
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id or new_event_id(),
        "ce_source": source,
        "ce_type": event.type,
        "ce_time": rfc3339(time),
        "ce_subject": event.key,
        "ce_sequence": str(sequence),
        "content-type": "application/json",
    }
    if traceparent:
        headers["traceparent"] = traceparent
    return OutgoingRecord(topic=event.topic, key=event.key, value=value, headers=headers)


def check_key(key: str, name: str) -> None:
    """Raise EventTooLargeError for a key over MAX_KEY_BYTES; `name` says whose it is."""
    if len(key) * 4 > MAX_KEY_BYTES < (size := len(key.encode())):
        raise EventTooLargeError(f"{name} has a key of {size} bytes, the limit is {MAX_KEY_BYTES}")


def encode_versions(
    versions: Sequence[Event], *, source: str, sequence: int, time: datetime, traceparent: str | None
) -> list[OutgoingRecord]:
    """Put one fact into an envelope for each of its versions, all under one new id.

    Raises EventTooLargeError, and ValueError for two versions of one type: consumers would drop the second.
    """
    if len({event.type for event in versions}) < len(versions):
        raise ValueError(f"one fact has one event of a type, not {[event.type for event in versions]}")
    event_id = new_event_id()
    return [
        encode(event, source=source, sequence=sequence, time=time, traceparent=traceparent, event_id=event_id)
        for event in versions
    ]


def attributes_of(record: Record) -> Attributes:
    """Read the attributes; a null or unreadable header that is not required counts as absent.

    A `ce_source` that is no UTF-8 is still a source, with its bytes escaped: two of them stay apart.

    Raises UndecodableRecordError where the value is null, `ce_type` or `ce_id` is missing or unreadable, or `ce_id` or
    `ce_source` is too long or has a control character, which CloudEvents 1.0 doesn't allow in a string.
    """
    if record.value is None:
        raise UndecodableRecordError("the value is null")
    headers = _readable_headers(record)
    for name in _REQUIRED:
        if not headers.get(name):
            raise UndecodableRecordError(headers.get(NOT_READ) or f"the header {name} is missing or unreadable")
    raw_source = next((raw for name, raw in record.headers if name == "ce_source"), None)
    headers["ce_source"] = (raw_source or b"").decode(errors="backslashreplace")
    for name in ("ce_id", "ce_source"):
        if not _IDENTIFYING.fullmatch(headers[name]):
            raise UndecodableRecordError(
                f"the header {name} is longer than {MAX_ID_CHARACTERS} characters or has a control character"
            )
    return Attributes(
        id=headers["ce_id"],
        type=headers["ce_type"],
        source=headers["ce_source"],
        traceparent=headers.get("traceparent"),
        not_read=headers.get(NOT_READ, ""),
    )


def decode(record: Record, attributes: Attributes, model: type[E]) -> Received[E]:
    """Read the data as `model`.

    Raises UndecodableRecordError if the record wasn't read whole, it isn't JSON, or the schema or the key is wrong.
    """
    if attributes.not_read:
        raise UndecodableRecordError(f"{attributes.type}: {attributes.not_read}")
    try:
        event = validated(model, record.value or b"")
    except NotJSONError as error:
        raise UndecodableRecordError(f"{attributes.type}: the value is no JSON: {error}") from None
    except ValidationError as error:
        raise UndecodableRecordError(f"{attributes.type}: {summary(error)}") from None
    if record.key is None:
        raise UndecodableRecordError(f"{attributes.type}: the record has no key")
    if record.key != event.key.encode():
        raise UndecodableRecordError(f"{attributes.type}: the record's key is not its {event.key_field}")
    return Received(attributes, event, record)


def _readable_headers(record: Record) -> dict[str, str]:
    readable: dict[str, str] = {}
    for name, raw in record.headers:
        if raw is None:
            continue
        try:
            readable.setdefault(name, raw.decode())
        except UnicodeDecodeError:
            continue
    return readable
