"""Any event as a record: a pydantic model, a dict, a dataclass or bytes; with CloudEvents' attributes where wanted."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from outboxed.errors import EventTooLargeError
from outboxed.messages import MAX_VALUE_BYTES, OutgoingRecord, check_key, rfc3339, unstorable

Topic = str | Callable[[Any], str]
"""A topic, or a rule that gives the topic of an event."""
Key = str | Callable[[Any], object]
"""The field whose value is the record's key, or a rule that gives it."""

JSON, BYTES = "application/json", "application/octet-stream"
NO_JSON = b"NaN", b"Infinity"
"""What `to_json` writes of a number that JSON doesn't know."""
MAX_TOPIC_CHARACTERS = 249
"""Kafka's `Topic.validate`."""


@dataclass(frozen=True)
class Address:
    """What is known of a class of events."""

    type: str | None = None
    topic: Topic | None = None
    key: Key | None = None

    def or_else(self, other: "Address") -> "Address":
        """This one, with the other's parts where it has none."""
        return Address(self.type or other.type, self.topic or other.topic, self.key or other.key)


def address_of(event: object, known: Mapping[type, Address]) -> Address:
    """What the event's class says of itself, or the nearest of its bases that says anything."""
    for cls in type(event).__mro__:
        if cls in known:
            return known[cls]
    own = [getattr(type(event), name, None) for name in ("type", "topic", "key_field")]
    return Address(*(value if isinstance(value, str) else None for value in own))  # as an `outboxed.messages.Event` has


def record_of(  # noqa: PLR0913 - a record has that many parts
    event: object,
    address: Address,
    *,
    source: str | None,
    event_id: str,
    key: object = None,
    headers: Mapping[str, str] | None = None,
    traceparent: str | None = None,
) -> OutgoingRecord:
    """The record of an event; without a key it goes by its id. `headers` replace ours of the same name.

    With a `source` it has CloudEvents' attributes. Raises ValueError for an event without a topic or a key that it
    should have, or with a part that no row can hold, TypeError for a header that is no text, EventTooLargeError, and
    pydantic's PydanticSerializationError for what isn't JSON.
    """
    value, content_type = _body(event)
    name = address.type or type(event).__name__
    if len(value) > MAX_VALUE_BYTES:
        raise EventTooLargeError(f"{name} has {len(value)} bytes, the limit is {MAX_VALUE_BYTES}")
    found = key if key is not None else _key(event, address.key, name)
    text = event_id if found is None else str(found)
    made = {"content-type": content_type}
    if source is not None:
        made = {
            "ce_specversion": "1.0",
            "ce_id": event_id,
            "ce_source": source,
            "ce_type": name,
            "ce_time": rfc3339(datetime.now(UTC)),
            "ce_subject": text,
            **made,
        }
    if traceparent:
        made["traceparent"] = traceparent
    made |= headers or {}
    record = OutgoingRecord(topic=_topic(event, address.topic, name), key=text, value=value, headers=made)
    _check(record, name)
    return record


def _check(record: OutgoingRecord, name: str) -> None:
    """Refuse what PostgreSQL would refuse, and so end the caller's transaction, or what the relay could not send."""
    for header, value in record.headers.items():
        if not (isinstance(header, str) and isinstance(value, str)):
            raise TypeError(f"{name}'s header {header!r} is {type(value).__name__}: headers are texts by their names")
    parts = {"topic": record.topic, "key": record.key, **{f"header {each!r}": each for each in record.headers}}
    parts |= {f"value of the header {each!r}": value for each, value in record.headers.items()}
    for part, text in parts.items():
        if problem := unstorable(text):
            raise ValueError(f"{name}'s {part} {problem}, which PostgreSQL can't hold")
    if len(record.topic) > MAX_TOPIC_CHARACTERS:
        raise ValueError(f"{name}'s topic has {len(record.topic)} characters, Kafka takes {MAX_TOPIC_CHARACTERS}")
    check_key(record.key, name)


def _body(event: object) -> tuple[bytes, str]:
    if isinstance(event, bytes | bytearray | memoryview):
        return bytes(event), BYTES
    if dataclasses.is_dataclass(event) or isinstance(event, Mapping) or hasattr(event, "model_dump_json"):
        body = to_json(event)
        if any(each in body for each in NO_JSON):
            json.loads(body, parse_constant=_refuse_constant)
        return body, JSON
    raise TypeError(f"an event is a pydantic model, a mapping, a dataclass or bytes, not a {type(event).__name__}")


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"an event has {constant}, which JSON doesn't know")


def _topic(event: object, topic: Topic | None, name: str) -> str:
    found = topic(event) if callable(topic) else topic
    if not found:
        raise ValueError(f"{name} has no topic: give it to publish, to its class by @outbox.event, or to the Outbox")
    return found


def _key(event: object, key: Key | None, name: str) -> object:
    if callable(key):
        return key(event)
    if key is None:
        return None
    found = event.get(key) if isinstance(event, Mapping) else getattr(event, key, None)
    if found is None:
        raise ValueError(f"{name} has no {key}, which is to be its key")
    return found
