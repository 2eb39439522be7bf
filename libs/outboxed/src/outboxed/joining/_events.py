"""Any event as a record: a pydantic model, a dict, a dataclass or bytes; with CloudEvents' attributes where wanted."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from outboxed.errors import EventTooLargeError
from outboxed.messages import MAX_VALUE_BYTES, OutgoingRecord, rfc3339

Topic = str | Callable[[Any], str]
"""A topic, or a rule that gives the topic of an event."""
Key = str | Callable[[Any], object]
"""The field whose value is the record's key, or a rule that gives it."""

JSON, BYTES = "application/json", "application/octet-stream"


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
    should have, EventTooLargeError, and pydantic's PydanticSerializationError for what isn't JSON.
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
    return OutgoingRecord(topic=_topic(event, address.topic, name), key=text, value=value, headers=made)


def _body(event: object) -> tuple[bytes, str]:
    if isinstance(event, bytes | bytearray | memoryview):
        return bytes(event), BYTES
    if dataclasses.is_dataclass(event) or isinstance(event, Mapping) or hasattr(event, "model_dump_json"):
        return to_json(event), JSON
    raise TypeError(f"an event is a pydantic model, a mapping, a dataclass or bytes, not a {type(event).__name__}")


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
