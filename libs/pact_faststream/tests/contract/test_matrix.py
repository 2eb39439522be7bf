"""The judge is judged: a contract that says too little misses what breaks, one that says too much refuses the rest."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from outboxed.messages import Amount, Event, EventData, OutgoingRecord, Timestamp, encode
from pact import match
from pact_faststream.matrix import Score, Style, Subject, Verdict, judge
from pact_faststream.matrix.mutants import mutants_of
from pact_faststream.records import WireRecord, wire

PARCEL_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")


class Stop(EventData):
    town: str


class ParcelShipped(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    weight: int = 3
    price: Amount = Decimal("4.50")
    carrier: str = "by bike"
    shipped_at: Timestamp = datetime(2026, 1, 15, 12, tzinfo=UTC)
    stops: list[Stop] = [Stop(town="Ulm")]  # noqa: RUF012 - pydantic copies it


class ParcelWeighed(Event, type="parcel.weighed.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    weight: int = 3
    carrier: str = "by bike"


def record(event: Event) -> OutgoingRecord:
    return encode(event, source="/warehouse", sequence=1, time=datetime.now(UTC), traceparent=None)


SENT = record(ParcelShipped(parcel_id=PARCEL_ID))
WEIGHED = record(ParcelWeighed(parcel_id=PARCEL_ID))


async def read_weight(record: WireRecord) -> object:
    weight = json.loads(record.value or b"")["weight"]
    if type(weight) is not int:
        raise TypeError(weight)
    return weight


async def judged(sent: OutgoingRecord, **bodies: object) -> dict[str, Verdict]:
    styles = [Style.written(name, body, {"ce_type": sent.headers["ce_type"]}) for name, body in bodies.items()]
    subject = Subject("reception", "warehouse", sent, read_weight, styles)
    return {verdict.mutant: verdict for verdict in await judge(subject)}


@pytest.fixture(scope="session")
async def verdicts() -> dict[str, Verdict]:
    """Of a contract that says too little, and of one that says too much."""
    return await judged(WEIGHED, little={"parcel_id": match.like(str(PARCEL_ID))}, much=json.loads(WEIGHED.value))


def test_every_part_of_a_message_is_changed_in_many_ways() -> None:
    names = [mutant.name for mutant in mutants_of(SENT, enums=["carrier"])]

    assert len(names) == len(set(names)) > 200
    for part in (
        "parcel_id",
        "weight",
        "price",
        "carrier",
        "shipped_at",
        "stops",
        "stops.0.town",
        "body",
        "key",
        "topic",
    ):
        assert any(name.startswith(f"{part}: ") for name in names), part
    assert {f"header {name}: removed" for name in SENT.headers} <= set(names)
    assert {"carrier: a new member", "price: in cents", "shipped_at: without a zone", "stops: an empty list"} <= set(
        names
    )


def test_no_mutant_is_the_message_itself() -> None:
    assert wire(SENT) not in [mutant.record for mutant in mutants_of(SENT)]


async def test_what_the_consumer_survives_is_compatible_and_all_else_breaking(verdicts: dict[str, Verdict]) -> None:
    assert verdicts["weight: removed"].breaking
    assert verdicts["weight: a string"].breaking
    assert not verdicts["carrier: removed"].breaking
    assert not verdicts["body: reordered"].breaking


async def test_a_contract_that_says_too_little_misses_what_breaks(verdicts: dict[str, Verdict]) -> None:
    assert verdicts["weight: removed"].passes == {"little": True, "much": False}


async def test_a_contract_that_says_too_much_refuses_what_is_harmless(verdicts: dict[str, Verdict]) -> None:
    assert verdicts["carrier: removed"].passes == {"little": True, "much": False}


async def test_a_contract_that_refuses_the_message_itself_is_an_error() -> None:
    with pytest.raises(AssertionError, match="'wrong' fails the message itself"):
        await judged(WEIGHED, wrong={"colour": "red"})


def test_a_score_counts_both_sides() -> None:
    verdicts = [
        Verdict("a", breaking=True, passes={"style": False}),
        Verdict("b", breaking=True, passes={"style": True}),
        Verdict("c", breaking=False, passes={"style": True}),
    ]

    assert str(Score.of("style", verdicts)) == "breaking 1/2 caught, compatible 1/1 passed"
