"""Records as they are on a topic: each way in which one could differ from its document is made here, and told."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from asyncapi_gate import undocumented
from asyncapi_gate.reading import Document
from outboxed.messages import Event, Record, document, encode

PARCEL_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")


class ParcelShipped(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID


WAREHOUSE = Document(document(title="warehouse", version="1", published=[ParcelShipped], consumed=[]))
RECEPTION = Document(document(title="reception", version="1", published=[], consumed=[]))
SENT = encode(
    ParcelShipped(parcel_id=PARCEL_ID), source="/warehouse", sequence=1, time=datetime.now(UTC), traceparent=None
)
RECORD = Record(SENT.topic, 0, 0, SENT.key.encode(), SENT.value, tuple(SENT.raw_headers()))
TYPE = ("ce_type", b"parcel.shipped.v1")
OTHERS = tuple(header for header in RECORD.headers if header != TYPE)


def told(*records: Record) -> list[str]:
    return [why for _, why in undocumented([RECEPTION, WAREHOUSE], records)]


def test_a_record_that_some_service_documents_is_documented() -> None:
    assert told(RECORD, replace(RECORD, headers=tuple(reversed(RECORD.headers)))) == []


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (replace(RECORD, headers=(*RECORD.headers, ("ce_id", b"1"))), "the header ce_id is there twice"),
        (replace(RECORD, headers=(*OTHERS, TYPE, TYPE)), "the header ce_type is there twice"),
        (replace(RECORD, headers=(*RECORD.headers, ("note", b"\xff"))), "the header note is no UTF-8"),
        (replace(RECORD, headers=(*OTHERS, ("CE_TYPE", TYPE[1]))), "nobody documents a record without ce_type"),
        (replace(RECORD, headers=(*OTHERS, ("ce_type", b"\xff"))), "nobody documents a record without ce_type"),
        (replace(RECORD, headers=(*OTHERS, ("ce_type", b"parcel.lost.v1"))), "nobody documents parcel.lost.v1"),
        (replace(RECORD, headers=()), "nobody documents a record without ce_type"),
        (replace(RECORD, value=None), "its value is no JSON"),
        (replace(RECORD, value=b"[" * 100_000), "its value is no JSON"),
        (replace(RECORD, key=None), "its key  isn't its parcel_id"),
        (replace(RECORD, key=b"\xff"), "its key \ufffd isn't its parcel_id"),
        (replace(RECORD, topic="parcels-v2"), "is sent to the topic parcels-v2, documented is parcels"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_other_is_told_with_the_reason(record: Record, why: str) -> None:
    [reasons] = told(RECORD, record)

    assert why in reasons
