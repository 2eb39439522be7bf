"""Kafka records for tests: as a consumer's client hands them over, with any bytes, any headers, any offset."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any
from uuid import uuid4

from aiokafka import ConsumerRecord

from outboxed.messages import OutgoingRecord

_offsets = count()


def consumer_record(  # noqa: PLR0913  # a record has that many parts
    topic: str,
    value: bytes | None,
    *,
    key: bytes | None = None,
    headers: Iterable[tuple[str, bytes | None]] = (),
    partition: int = 0,
    offset: int | None = None,
) -> Any:
    """An aiokafka ConsumerRecord; ``offset`` counts up unless given. Feed it to ``subscriber.process_message``."""
    return ConsumerRecord(
        topic=topic,
        partition=partition,
        offset=next(_offsets) if offset is None else offset,
        timestamp=0,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=len(key or b""),
        serialized_value_size=len(value or b""),
        headers=tuple(headers),
    )


def event_record(  # noqa: PLR0913  # as above
    topic: str,
    event_type: str,
    data: Mapping[str, Any],
    *,
    key: str,
    event_id: str | None = None,
    offset: int | None = None,
) -> Any:
    """A well-formed CloudEvents record in binary mode."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id or str(uuid4()),
        "ce_source": "/test",
        "ce_type": event_type,
        "content-type": "application/json",
    }
    raw = [(name, value.encode()) for name, value in headers.items()]
    return consumer_record(topic, json.dumps(data).encode(), key=key.encode(), headers=raw, offset=offset)


def sent_record(record: OutgoingRecord, *, partition: int = 0, offset: int | None = None) -> Any:
    """An outbox row as its consumers will read it."""
    return consumer_record(
        record.topic,
        record.value,
        key=record.key.encode(),
        headers=record.raw_headers(),
        partition=partition,
        offset=offset,
    )


def decoded(records: Iterable[OutgoingRecord]) -> Sequence[tuple[str, dict[str, Any]]]:
    """Outbox rows as (type, data), in order."""
    return [(record.headers["ce_type"], json.loads(record.value)) for record in records]
