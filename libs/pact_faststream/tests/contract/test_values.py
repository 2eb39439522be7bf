"""A contract of values: what a consumer asks for comes back, and a provider that sends something else is told."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from outboxed.messages import (
    Amount,
    ConsumedAmount,
    ConsumedEvent,
    ConsumedTimestamp,
    Event,
    OutgoingRecord,
    Timestamp,
    encode,
)
from pact_faststream import (
    Expectation,
    ExpectationError,
    MessagePact,
    PactFolder,
    PactSource,
    ProviderState,
    ProviderVerificationError,
    verify_provider,
)
from pact_faststream.sources import HandedOver
from pact_faststream.values import pairwise

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
GIVEN = "a parcel is shipped"


class ParcelSeen(ConsumedEvent, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    price: ConsumedAmount
    shipped_at: ConsumedTimestamp
    note: str | None


class ParcelShipped(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    price: Amount
    insured_for: Amount = Decimal("20.00")
    shipped_at: Timestamp
    note: str | None


ONE = ParcelSeen(
    parcel_id=UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10"), price=Decimal("4.50"), shipped_at=NOON, note="fragile"
)
ANOTHER = ParcelSeen(
    parcel_id=UUID("b1946ac9-2a0c-4f6e-8d57-41f0c2a7d3e5"),
    price=Decimal("1004.50"),
    shipped_at=NOON + timedelta(days=1, milliseconds=250),
    note=None,
)
SHIPPED = Expectation("a parcel was shipped", ONE, given=GIVEN, another=ANOTHER)
PACT = MessagePact("reception", "warehouse", (SHIPPED,))


@dataclass
class Warehouse:
    """A provider whose messages may be spoilt on their way to the outbox."""

    spoilt: Any = dict
    rows: list[OutgoingRecord] = field(default_factory=list)

    async def outbox(self) -> Sequence[OutgoingRecord]:
        return list(self.rows)

    async def ship(
        self,
        *,
        parcel_id: UUID | None = None,
        price: Decimal = Decimal("1.00"),
        shipped_at: datetime = NOON,
        note: str | None = None,
    ) -> None:
        if price > 10**6:
            raise ValueError(f"no parcel costs {price}")
        event = ParcelShipped(parcel_id=parcel_id or uuid4(), price=price, shipped_at=shipped_at, note=note)
        record = encode(event, source="/warehouse", sequence=1, time=NOON, traceparent=None)
        value = json.dumps(self.spoilt(json.loads(record.value))).encode()
        self.rows.append(OutgoingRecord(record.topic, record.key, value, record.headers))

    async def verify(self, source: PactSource, **variants: Any) -> int:
        state = ProviderState(ParcelShipped, variants or {"cheap": {"price": "0.00"}}, asked=self.ship)
        return len(await verify_provider("warehouse", source, {GIVEN: state}, outbox=self.outbox))


@pytest.fixture
def source(tmp_path: Path) -> PactFolder:
    PACT.file(tmp_path).check(write=True)
    return PactFolder(tmp_path)


def spoiling(**changes: Any) -> Warehouse:
    """Each change gets the data and gives the field's new value."""
    return Warehouse(lambda data: {**data, **{name: change(data) for name, change in changes.items()}})


# --- the consumer asks ---


def test_one_expectation_asks_for_the_form_and_for_the_values_of_two_examples(source: PactFolder) -> None:
    [pact] = source.pacts("warehouse")
    asked = {each["description"]: each["providerStates"][0].get("params") for each in pact.document["interactions"]}

    assert asked == {
        "a parcel was shipped": None,
        "a parcel was shipped, with these very values": json.loads(ONE.model_dump_json()),
        "a parcel was shipped, with other values": json.loads(ANOTHER.model_dump_json()),
    }
    assert set(asked) == set(PACT.descriptions)


def test_an_expectation_without_another_example_asks_for_the_form_alone() -> None:
    assert list(Expectation("a parcel was shipped", ONE, given=GIVEN).interactions) == ["a parcel was shipped"]


def test_a_value_that_both_examples_share_is_an_error_unless_it_is_named() -> None:
    same_price = ANOTHER.model_copy(update={"price": ONE.price})

    with pytest.raises(ExpectationError, match=r"\$\.price is '4\.50' in both examples: a constant would pass"):
        Expectation("a parcel was shipped", ONE, given=GIVEN, another=same_price)

    Expectation("a parcel was shipped", ONE, given=GIVEN, another=same_price, same=["$.price"])


def test_two_fields_of_one_form_with_one_value_are_an_error() -> None:
    class ParcelMoved(ConsumedEvent, type="parcel.moved.v1", topic="parcels", key_field="parcel_id"):
        parcel_id: UUID
        truck_id: UUID

    one, other = uuid4(), uuid4()

    with pytest.raises(ExpectationError, match=r"\$\.parcel_id and \$\.truck_id are both .*mixed up"):
        Expectation(
            "a parcel was moved",
            ParcelMoved(parcel_id=one, truck_id=uuid4()),
            given="any",
            another=ParcelMoved(parcel_id=other, truck_id=other),
        )


# --- the provider answers ---


async def test_a_provider_that_sends_what_was_asked_passes(source: PactFolder) -> None:
    form, values, edges = 2, 2, 2 * 2

    assert await Warehouse().verify(source, cheap={"price": "0.00"}, dear={"price": "999.99"}) == form + values + edges


@pytest.mark.parametrize(
    "spoilt",
    [
        {"price": lambda _: "4.50"},
        {"price": lambda data: data["insured_for"]},
        {"price": lambda data: f"{Decimal(data['price']) / Decimal('1.19'):.2f}"},
        {"parcel_id": lambda _: str(uuid4())},
        {"shipped_at": lambda data: data["shipped_at"].replace("T12", "T13")},
        {"shipped_at": lambda data: f"{data['shipped_at'][:19]}Z"},
        {"note": lambda _: None},
        {"note": lambda _: "fragile"},
        {"note": lambda data: "" if data["note"] is None else data["note"]},
    ],
    ids=lambda spoilt: next(iter(spoilt)),
)
async def test_a_provider_that_sends_other_values_fails(source: PactFolder, spoilt: dict[str, Any]) -> None:
    with pytest.raises(ProviderVerificationError, match=rf"(these very|other) values'.*:\n +\$\.{next(iter(spoilt))}"):
        await spoiling(**spoilt).verify(source)


@pytest.mark.parametrize(
    "written",
    [
        {"parcel_id": lambda data: data["parcel_id"].upper()},
        {"shipped_at": lambda data: data["shipped_at"].replace("Z", "+00:00")},
        {"insured_for": lambda _: "0.00"},
    ],
    ids=lambda written: next(iter(written)),
)
async def test_what_readers_take_for_the_same_passes(source: PactFolder, written: dict[str, Any]) -> None:
    warehouse = spoiling(**written)

    assert await warehouse.verify(source, cheap={"price": "0.00"})


async def test_an_instant_is_the_same_in_whatever_zone_a_consumer_writes_it(tmp_path: Path) -> None:
    zone = timezone(timedelta(hours=2))
    one, another = (each.model_copy(update={"shipped_at": each.shipped_at.astimezone(zone)}) for each in (ONE, ANOTHER))
    shipped = Expectation("a parcel was shipped", one, given=GIVEN, another=another)
    MessagePact("reception", "warehouse", (shipped,)).file(tmp_path).check(write=True)

    assert await Warehouse().verify(PactFolder(tmp_path))


async def test_a_value_that_is_wrong_only_at_an_edge_fails_and_names_the_variant(source: PactFolder) -> None:
    warehouse = spoiling(price=lambda data: data["price"] if len(data["price"]) < 8 else f"{data['price'][:-2]}00")

    with pytest.raises(
        ProviderVerificationError, match=r"\(dear\):\n +\$\.price: asked for '99999\.99', and '99999\.00' was sent"
    ):
        await warehouse.verify(source, cheap={"price": "0.00"}, dear={"price": Decimal("99999.99")})


async def test_a_function_in_a_variant_gives_each_run_a_value_of_its_own(source: PactFolder) -> None:
    warehouse = Warehouse()

    await warehouse.verify(source, cheap={"parcel_id": uuid4, "price": "0.00"})

    assert len({row.key for row in warehouse.rows}) == len(warehouse.rows)


async def test_a_provider_that_can_not_be_asked_yet_is_told_what_to_add(source: PactFolder) -> None:
    warehouse = Warehouse()

    async def ship() -> None:
        await warehouse.ship()

    states = {GIVEN: ProviderState(ParcelShipped, {"now": ship})}

    with pytest.raises(ProviderVerificationError, match="be asked for note, parcel_id, price, shipped_at yet: give"):
        await verify_provider("warehouse", source, states, outbox=warehouse.outbox)


async def test_a_value_that_the_provider_can_not_send_is_told(tmp_path: Path) -> None:
    dear = ANOTHER.model_copy(update={"price": Decimal("1000000.01")})
    wanted = Expectation("a parcel was shipped", ONE, given=GIVEN, another=dear)
    MessagePact("reception", "warehouse", (wanted,)).file(tmp_path).check(write=True)

    with pytest.raises(ProviderVerificationError, match=r"ValueError: no parcel costs 1000000\.01"):
        await Warehouse().verify(PactFolder(tmp_path))


async def test_a_field_that_the_provider_does_not_have_is_told(tmp_path: Path) -> None:
    class Weighed(ParcelSeen, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
        weight: int

    one, another = Weighed(**dict(ONE), weight=1), Weighed(**dict(ANOTHER), weight=2)
    wanted = Expectation("a parcel was shipped", one, given=GIVEN, another=another)
    MessagePact("reception", "warehouse", (wanted,)).file(tmp_path).check(write=True)

    with pytest.raises(ProviderVerificationError, match=r"be asked for this: weight: Unexpected keyword argument"):
        await Warehouse().verify(PactFolder(tmp_path))


def test_a_variant_with_parameters_that_nobody_takes_is_an_error() -> None:
    with pytest.raises(ValueError, match="has parameters, but `asked`, which takes them, is missing"):
        ProviderState(ParcelShipped, {"cheap": {"price": "0.00"}})


# --- another process awaits the results ---


async def test_an_edge_that_fails_is_among_the_results(source: PactFolder, tmp_path: Path) -> None:
    warehouse = spoiling(price=lambda data: data["price"] if len(data["price"]) < 8 else f"{data['price'][:-2]}00")
    [pact] = source.pacts("warehouse")
    folder = tmp_path / "handed over"
    folder.mkdir()
    handed_over = HandedOver(folder)
    handed_over.hand_over([pact])

    with pytest.raises(ProviderVerificationError, match="dear"):
        await warehouse.verify(handed_over, cheap={"price": "0.00"}, dear={"price": "99999.99"})

    assert {result.variant for result in handed_over.results(pact) if not result.ok} == {"dear"}


# --- the edges of fields ---


def test_each_two_values_of_two_axes_meet_in_a_variant() -> None:
    axes: Mapping[str, Mapping[str, Any]] = {
        "price": {"0.00": Decimal("0.00"), "999.99": Decimal("999.99"), "1000.00": Decimal(1000)},
        "customer.email": {"short": "a@b", "long": "a" * 99},
        "customer.name": {"ASCII": "Ada", "beyond": "李"},
        "items": {"one": 1, "fifty": 50},
        "currency": {"the only one": "EUR"},
    }

    variants = pairwise(axes)

    swept = [axis for axis, values in axes.items() if len(values) > 1]
    met = {pair for name in variants for pair in combinations(name.split(", "), 2)}
    assert met == {(one, other) for a, b in combinations(swept, 2) for one in axes[a] for other in axes[b]}
    assert len(variants) < 3 * 2 * 2 * 2
    assert variants["0.00, short, ASCII, one"] == {
        "price": Decimal("0.00"),
        "customer": {"email": "a@b", "name": "Ada"},
        "items": 1,
        "currency": "EUR",
    }


def test_one_axis_alone_is_swept_too() -> None:
    assert pairwise({"id": {"new": uuid4}, "price": {"low": 1, "high": 2}}) == {
        "low": {"id": uuid4, "price": 1},
        "high": {"id": uuid4, "price": 2},
    }


def test_an_axis_without_a_value_is_an_error() -> None:
    with pytest.raises(ValueError, match="the axis price has no value"):
        pairwise({"price": {}})
