"""What of a record's address and headers belongs to the contract, and how a record is told to Pact and made of it."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from chassis.envelope import OutgoingRecord
from chassis.events import ConsumedEvent

from testkit.records import consumer_record

CONTRACTED_HEADERS = ("ce_type", "content-type")
TOPIC = "kafka_topic"
KEY_FIELD = "kafka_key_field"
"""A relation can't be told to Pact, so both sides say which field of the data equals the key."""


def metadata_of(model: type[ConsumedEvent]) -> Mapping[str, str]:
    """What a consumer needs beside the data."""
    return {
        "ce_type": model.type,
        "content-type": "application/json",
        TOPIC: model.topic,
        KEY_FIELD: model.key_field,
    }


def metadata_sent(record: OutgoingRecord) -> Mapping[str, str]:
    """The same, of a record that a provider really wrote."""
    data = json.loads(record.value)
    keys = [name for name, value in data.items() if value == record.key]
    contracted = {name: record.headers[name] for name in CONTRACTED_HEADERS if name in record.headers}
    return {**contracted, TOPIC: record.topic, KEY_FIELD: keys[0] if keys else "none"}


def record_of(body: str | bytes | None, metadata: Mapping[str, object]) -> Any:
    """A consumer record of what Pact built; ``ce_id`` is new, as for every event."""
    value = body.encode() if isinstance(body, str) else body
    key = json.loads(value or b"{}").get(str(metadata[KEY_FIELD]))
    headers = {name: str(metadata[name]) for name in CONTRACTED_HEADERS if name in metadata}
    headers["ce_id"] = str(uuid4())
    return consumer_record(
        str(metadata[TOPIC]),
        value,
        key=None if key is None else str(key).encode(),
        headers=[(name, text.encode()) for name, text in headers.items()],
    )
