"""The parts of a record's address and headers that belong to the contract, and their translation to and from Pact."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from pact_faststream.records import ConsumedMessage, WireRecord, consumer_record
from pact_faststream.rules import Rule

CONTRACTED_HEADERS = ("ce_type", "ce_id")
"""A record without these two headers is a dead letter; the contract says nothing of other headers."""

TOPIC = "kafka_topic"
KEY_FIELD = "kafka_key_field"
"""Pact can't express that two values are equal, so both sides name the field of the data that equals the key."""

NO_FIELD = "none"
RULES: Mapping[str, Rule] = {
    "ce_id": {"combine": "AND", "matchers": [{"match": "regex", "regex": r"^[^\x00]{1,255}$"}]},
}


class HeaderError(ValueError):
    """A contracted header that some readers can't read, or read otherwise than others."""


def metadata_expected(event: ConsumedMessage) -> Mapping[str, str]:
    """The metadata that a consumer needs."""
    model = type(event)
    return {
        "ce_type": model.type,
        "ce_id": "5a0f8f7e-6a55-4b6f-9a53-0a4a9b1c2d3e",
        TOPIC: model.topic,
        KEY_FIELD: model.key_field,
    }


def metadata_sent(record: WireRecord) -> Mapping[str, str]:
    """The same, of a record that a provider really sends.

    Raises HeaderError as check_headers does, and UnicodeDecodeError for an unreadable key.
    """
    check_headers(record)
    headers = {name: text for name in CONTRACTED_HEADERS for text in texts_of(record, name)}
    return metadata_of(record.topic, record.key.decode() if record.key else "", record.value or b"", headers)


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


def record_of(body: str | bytes | None, metadata: Mapping[str, object]) -> Any:
    """A consumer record from a message that Pact built; `ce_id` is new, as for every event."""
    value = body.encode() if isinstance(body, str) else body
    key = json.loads(value or b"{}").get(str(metadata[KEY_FIELD]))
    headers = {"ce_type": str(metadata["ce_type"]), "ce_id": str(uuid4())}
    raw_headers = tuple((name, text.encode()) for name, text in headers.items())
    raw_key = None if key is None else str(key).encode()
    return consumer_record(WireRecord(str(metadata[TOPIC]), 0, 0, raw_key, value, raw_headers))


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
