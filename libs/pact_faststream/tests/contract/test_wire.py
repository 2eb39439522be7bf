"""What a provider offers is what its consumers' clients read: headers in bytes, as often and as they are written."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from outboxed.messages import ConsumedEvent, Event, OutgoingRecord, encode_versions
from outboxed.storage import Clock
from pact_faststream import (
    Expectation,
    MessagePact,
    PactFolder,
    ProviderState,
    ProviderVerificationError,
    verify_provider,
)

PARCEL_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")
KEY = str(PARCEL_ID).encode()
VALUE = b'{"parcel_id": "%s"}' % KEY


class ParcelSeen(ConsumedEvent, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID


class ParcelShipped(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    weight: int = 3


class ParcelShippedV2(ParcelShipped, type="parcel.shipped.v2"):
    pass


class ParcelLost(ParcelShipped, type="parcel.lost.v1"):
    pass


@dataclass(frozen=True)
class Row:
    """A row of an outbox that isn't outboxed's: it knows only what its relay gives to the producer."""

    topic: str = "parcels"
    key: Any = KEY
    value: Any = VALUE
    headers: Any = ()

    def producer_record(self) -> "Row":
        return self


@dataclass
class Warehouse:
    rows: list[Any] = field(default_factory=list)

    async def outbox(self) -> Sequence[Any]:
        return list(self.rows)

    async def write(self, *rows: Any) -> None:
        self.rows += rows

    async def verify(self, source: PactFolder, *rows: Any) -> int:
        variants = {str(number): lambda row=row: self.write(*row) for number, row in enumerate(rows)}
        states = {"a parcel is shipped": ProviderState(ParcelShipped, variants)}
        return len(await verify_provider("warehouse", source, states, outbox=self.outbox))


@pytest.fixture
def source(tmp_path: Path) -> PactFolder:
    seen = Expectation("a parcel was shipped", ParcelSeen(parcel_id=PARCEL_ID), given="a parcel is shipped")
    MessagePact("reception", "warehouse", (seen,)).file(tmp_path).check(write=True)
    return PactFolder(tmp_path)


def row(*headers: tuple[Any, Any], ce_id: str = "", **parts: Any) -> Row:
    usual = {"ce_type": b"parcel.shipped.v1", "ce_id": (ce_id or str(uuid4())).encode()}
    named = {name for name, _ in headers if isinstance(name, str)}
    return Row(headers=[*((name, raw) for name, raw in usual.items() if name not in named), *headers], **parts)


def sent(*events: Event) -> list[OutgoingRecord]:
    return encode_versions(events, source="/warehouse", sequence=1, time=Clock().now(), traceparent=None)


async def test_any_outbox_will_do_that_says_what_its_producer_gets(source: PactFolder) -> None:
    assert await Warehouse().verify(source, [row()], [row(("traceparent", b"\xff"), ("traceparent", b"\xfe"))]) == 2


async def test_of_a_header_that_is_there_twice_the_first_counts(tmp_path: Path) -> None:
    needed = Expectation(
        "a parcel was shipped",
        ParcelSeen(parcel_id=PARCEL_ID),
        given="a parcel is shipped",
        headers={"x-team": "blue"},
    )
    MessagePact("reception", "warehouse", (needed,)).file(tmp_path).check(write=True)

    assert await Warehouse().verify(PactFolder(tmp_path), [row(("x-team", b"blue"), ("x-team", b"red"))]) == 1
    with pytest.raises(ProviderVerificationError, match="x-team"):
        await Warehouse().verify(PactFolder(tmp_path), [row(("x-team", b"red"), ("x-team", b"blue"))])


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([("ce_id", b"1"), ("ce_id", b"1")], "the header ce_id is there 2 times"),
        ([("ce_id", b"1"), ("CE_ID", b"1")], r"the header ce_id is there 2 times \(ce_id, CE_ID\)"),
        ([("ce_type", b"parcel.shipped.v1"), ("ce_type", b"x")], "the header ce_type is there 2 times"),
        ([("ce_id", None)], "the header ce_id is null"),
        ([("ce_id", b"\xff")], "the header ce_id is unreadable"),
        ([("ce_id", "1")], "a producer doesn't take this record: Expected bytes, got str"),
        ([(b"ce_more", b"1")], "a producer doesn't take this record: Expected str, got bytes"),
    ],
    ids=str,
)
async def test_a_header_that_readers_take_in_different_ways_fails(
    source: PactFolder, headers: list[tuple[Any, Any]], said: str
) -> None:
    with pytest.raises(ProviderVerificationError, match=said):
        await Warehouse().verify(source, [row(*headers)])


async def test_a_header_in_another_case_fails(source: PactFolder) -> None:
    spoilt = replace(row(), headers=[(name.upper(), raw) for name, raw in row().headers])

    with pytest.raises(ProviderVerificationError, match="the header ce_id is written CE_ID, which no reader looks for"):
        await Warehouse().verify(source, [spoilt])


@pytest.mark.parametrize(
    "part", [{"key": str(PARCEL_ID)}, {"value": "{}"}, {"key": b"\xff"}, {"topic": b"parcels"}, {"key": None}], ids=str
)
async def test_a_part_that_no_producer_takes_or_no_consumer_can_read_fails(
    source: PactFolder, part: dict[str, Any]
) -> None:
    with pytest.raises(ProviderVerificationError, match="a parcel was shipped"):
        await Warehouse().verify(source, [row(**part)])


async def test_what_outboxed_sends_is_what_is_offered(source: PactFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await Warehouse().verify(source, sent(ParcelShipped(parcel_id=PARCEL_ID))) == 1

    monkeypatch.setattr(OutgoingRecord, "raw_headers", lambda self: [("CE_ID", self.headers["ce_id"].encode())])

    with pytest.raises(ProviderVerificationError, match="CE_ID"):
        await Warehouse().verify(source, sent(ParcelShipped(parcel_id=PARCEL_ID)))


# --- ids ---


def other_parcel(ce_id: str) -> Row:
    key = str(uuid4()).encode()
    return row(ce_id=ce_id, key=key, value=VALUE.replace(KEY, key))


async def test_an_id_that_two_events_have_fails(source: PactFolder) -> None:
    with pytest.raises(ProviderVerificationError, match=r"'1' of parcel\.shipped\.v1 was that of another record"):
        await Warehouse().verify(source, [row(ce_id="1")], [other_parcel("1")])


async def test_two_events_of_one_use_case_with_one_id_fail(source: PactFolder) -> None:
    shipped, lost = sent(ParcelShipped(parcel_id=PARCEL_ID), ParcelLost(parcel_id=PARCEL_ID))

    with pytest.raises(ProviderVerificationError, match=r"was that of another record, of parcel\.shipped\.v1"):
        await Warehouse().verify(source, [shipped, lost])


async def test_one_event_twice_in_one_use_case_fails(source: PactFolder) -> None:
    lost = [*row().headers[1:], ("ce_type", b"parcel.lost.v1")]

    with pytest.raises(ProviderVerificationError, match=r"of parcel\.lost\.v1 was that of another record"):
        await Warehouse().verify(source, [row(), Row(headers=lost), Row(headers=lost)])


async def test_two_versions_of_one_fact_share_their_id(source: PactFolder) -> None:
    newest, oldest = sent(ParcelShippedV2(parcel_id=PARCEL_ID), ParcelShipped(parcel_id=PARCEL_ID))

    assert await Warehouse().verify(source, [newest, oldest]) == 1


async def test_versions_that_two_use_cases_wrote_are_two_facts(source: PactFolder) -> None:
    newer = Row(headers=[("ce_type", b"parcel.shipped.v2"), ("ce_id", b"1")])

    with pytest.raises(ProviderVerificationError, match=r"the ce_id '1' of parcel\.shipped\.v2 was that of another"):
        await Warehouse().verify(source, [row(ce_id="1")], [row(), newer])


async def test_an_id_that_is_made_of_the_event_is_the_same_for_the_same_event(source: PactFolder) -> None:
    assert await Warehouse().verify(source, [row(ce_id="of this one")], [row(ce_id="of this one")]) == 2
