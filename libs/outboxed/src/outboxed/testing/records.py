"""Kafka records for tests: as a consumer's client hands them over, with any bytes, any headers, any offset."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any
from uuid import uuid4

from outboxed._compat.faststream import client_record
from outboxed.messages import OutgoingRecord, Record

_offsets = count()


def consumer_record(  # noqa: PLR0913 - a record has that many parts
    topic: str,
    value: bytes | None,
    *,
    key: bytes | None = None,
    headers: Iterable[tuple[str, bytes | None]] = (),
    partition: int = 0,
    offset: int | None = None,
) -> Any:
    """An aiokafka ConsumerRecord; `offset` counts up unless given. Feed it to `subscriber.process_message`."""
    place = next(_offsets) if offset is None else offset
    return client_record(Record(topic, partition, place, key, value, tuple(headers)))


def event_record(  # noqa: PLR0913 - a record has that many parts
    topic: str,
    event_type: str,
    data: Mapping[str, Any],
    *,
    key: str,
    event_id: str | None = None,
    source: str = "/test",
    offset: int | None = None,
) -> Any:
    """A well-formed CloudEvents record in binary mode."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id or str(uuid4()),
        "ce_source": source,
        "ce_type": event_type,
        "content-type": "application/json",
    }
    raw = [(name, value.encode()) for name, value in headers.items()]
    return consumer_record(topic, json.dumps(data).encode(), key=key.encode(), headers=raw, offset=offset)


def sent_record(record: OutgoingRecord, *, partition: int = 0, offset: int | None = None) -> Any:
    """An outbox row as its consumers will read it."""
    sent = record.producer_record()
    return consumer_record(
        sent.topic, sent.value, key=sent.key, headers=sent.headers, partition=partition, offset=offset
    )


def decoded(records: Iterable[OutgoingRecord]) -> Sequence[tuple[str, dict[str, Any]]]:
    """Outbox rows as (type, data), in order."""
    return [(record.headers["ce_type"], json.loads(record.value)) for record in records]


def poison(good: Any, **refused: Mapping[str, Any]) -> Mapping[str, Any]:
    """Spoilt copies of a well-formed record, by what is wrong: each must become one dead letter.

    `refused` adds changes of the data, by name, that this reader refuses but others may accept.
    """
    headers = dict(good.headers)
    data = json.loads(good.value)

    def spoilt(value: bytes | None = good.value, key: bytes | None = good.key, **changed: bytes | None) -> Any:
        kept = [(name, raw) for name, raw in {**headers, **changed}.items() if raw != b""]
        return consumer_record(good.topic, value, key=key, headers=kept)

    return {
        "no JSON": spoilt(b"{"),
        "no data": spoilt(b"{}"),
        "null value": spoilt(None),
        "deep nesting": spoilt(b"[" * 100_000),
        "no key": spoilt(key=None),
        "another key": spoilt(key=b"other"),
        "no ce_type": spoilt(ce_type=b""),
        "no ce_id": spoilt(ce_id=b""),
        "null ce_id": spoilt(ce_id=None),
        "unreadable ce_type": spoilt(ce_type=b"\xff"),
        "control character in ce_id": spoilt(ce_id=b"a\x1fb"),
        **{name: spoilt(json.dumps({**data, **changes}).encode()) for name, changes in refused.items()},
    }


def odd(good: Any) -> Any:
    """A record that its readers must handle: it has an unknown field, and headers that nobody can read."""
    unread = [("x-null", None), ("x-binary", b"\xff\xfe"), ("traceparent", b"nonsense")]
    value = good.value.replace(b"{", b'{"unknown": 1, ', 1)
    return consumer_record(good.topic, value, key=good.key, headers=[*good.headers, *unread])
