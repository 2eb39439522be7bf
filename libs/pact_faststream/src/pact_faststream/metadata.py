"""The parts of a record's address and headers that belong to the contract, and their translation to and from Pact."""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

from pact_faststream.records import WireRecord, consumer_record
from pact_faststream.rules import Rule

CONTRACTED_HEADERS = ("ce_type", "ce_id")
"""A record without these two headers is a dead letter; the contract says nothing of other headers."""

TOPIC = "kafka_topic"
KEY_FIELD = "kafka_key_field"
"""Pact can't express that two values are equal, so both sides name the field of the data that equals the key."""

NO_FIELD = "none"
OF_PACT = ("content-type", "contenttype")
"""Metadata that tells Pact how to read the body."""
RULES: Mapping[str, Rule] = {
    "ce_id": {"combine": "AND", "matchers": [{"match": "regex", "regex": r"^[^\x00]{1,255}$"}]},
}


class HeaderError(ValueError):
    """A contracted header that some readers can't read, or read otherwise than others."""


def is_cloud_event(model: type) -> bool:
    """Whether a class says its CloudEvents type, topic and key field, as `outboxed.messages.Event` does."""
    return all(isinstance(getattr(model, name, None), str) for name in ("type", "topic", "key_field"))


def metadata_expected(
    model: type, *, topic: str | None = None, key: str | None = None, headers: Mapping[str, str] = MappingProxyType({})
) -> Mapping[str, str]:
    """The metadata that a consumer needs: of a CloudEvent what its class says, of all others what is given."""
    given = {**headers, **({TOPIC: topic} if topic else {}), **({KEY_FIELD: key} if key else {})}
    if not is_cloud_event(model):
        return given
    event: Any = model
    its_own = {"ce_type": event.type, "ce_id": "5a0f8f7e-6a55-4b6f-9a53-0a4a9b1c2d3e"}
    return {**its_own, TOPIC: event.topic, KEY_FIELD: event.key_field, **given}


def metadata_sent(record: WireRecord) -> Mapping[str, str]:
    """The same, of a record that a provider really sends, with all of its headers: a consumer may expect any.

    Raises HeaderError as check_headers does, and UnicodeDecodeError for an unreadable key.
    """
    check_headers(record)
    headers = {name: text for name in CONTRACTED_HEADERS for text in texts_of(record, name)}
    others = {name: text for name, raw in reversed(record.headers) if (text := _text(raw)) is not None}
    key = record.key.decode() if record.key else ""
    return {
        **{name: text for name, text in others.items() if name.lower() not in OF_PACT},
        **metadata_of(record.topic, key, record.value or b"", headers),
    }


def check_headers(record: WireRecord) -> None:
    """Raises HeaderError for a contracted header that is there twice, in another case, null or unreadable."""
    faults = [fault for name in CONTRACTED_HEADERS for fault in _faults(name, record)]
    if faults:
        raise HeaderError("; ".join(faults))


def texts_of(record: WireRecord, name: str) -> Sequence[str]:
    """The readable values of a header, however its name is written."""
    return [text for raw in _named(name, record).values() for each in raw if (text := _text(each)) is not None]


def metadata_of(topic: str, key: str, value: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
    """The same, of a record's parts."""
    contracted = {name: headers[name] for name in CONTRACTED_HEADERS if name in headers}
    return {**contracted, TOPIC: topic, KEY_FIELD: _key_field(key, value)}


def record_of(body: str | bytes | None, metadata: Mapping[str, object], topic: str = "") -> Any:
    """A consumer record from a message that Pact built; `ce_id` is new, as for every event.

    `topic` is that of a message whose consumer named none.
    """
    value = body.encode() if isinstance(body, str) else body
    key = _field(value, str(metadata[KEY_FIELD])) if KEY_FIELD in metadata else None
    told = {name: str(text) for name, text in metadata.items() if name not in (TOPIC, KEY_FIELD)}
    headers = {name: text for name, text in told.items() if name.lower() not in OF_PACT}
    if "ce_id" in headers:
        headers["ce_id"] = str(uuid4())
    if "ce_type" not in headers and _field(value, None) is not None:
        headers["content-type"] = "application/json"  # as FastStream's publishers say of JSON
    raw_headers = tuple((name, text.encode()) for name, text in headers.items())
    raw_key = None if key is None else str(key).encode()
    return consumer_record(WireRecord(str(metadata.get(TOPIC, topic)), 0, 0, raw_key, value, raw_headers))


def _field(value: bytes | None, name: str | None) -> object:
    """A field of a JSON object, or the object itself; None where there is none."""
    try:
        data = json.loads(value or b"{}")
    except ValueError:
        return None
    if name is None:
        return data
    return data.get(name) if isinstance(data, dict) else None


def _faults(name: str, record: WireRecord) -> Iterator[str]:
    named = _named(name, record)
    count = sum(map(len, named.values()))
    if count > 1:
        yield f"the header {name} is there {count} times ({', '.join(named)}): readers differ in which one they take"
    for written, raws in named.items():
        if written != name:
            yield f"the header {name} is written {written}, which no reader looks for"
        if None in raws:
            yield f"the header {written} is null"
        if any(raw is not None and _text(raw) is None for raw in raws):
            yield f"the header {written} is unreadable: {raws!r} is no UTF-8"


def _named(name: str, record: WireRecord) -> Mapping[str, list[bytes | None]]:
    named: dict[str, list[bytes | None]] = {}
    for written, raw in record.headers:
        if written.strip().lower() == name:
            named.setdefault(written, []).append(raw)
    return named


def _text(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None


def _key_field(key: str, value: bytes) -> str:
    try:
        data = json.loads(value)
    except ValueError:
        return NO_FIELD
    fields = data.items() if isinstance(data, dict) else ()
    return next((name for name, field in fields if _canonical(field) == key), NO_FIELD)


def _canonical(value: object) -> object:
    """A key or value as consumers compare it: a UUID in lower case with hyphens."""
    try:
        return str(UUID(value)) if isinstance(value, str) else value
    except ValueError:
        return value
