"""docs/evolving-events.md, step by step: what it shows is what runs here."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from asyncapi_gate import (
    BreakingChangeError,
    UnreadableFormError,
    breaking_changes,
    check_document,
    check_forms,
    disagreements,
)
from outboxed.consuming import BatchConsumer, Route
from outboxed.messages import ConsumedEvent, Event, OutgoingRecord, document
from outboxed.ports import UnitOfWork
from outboxed.process import Metrics
from outboxed.testing.memory import InMemoryDatabase, InMemoryUnitOfWork, State
from outboxed.testing.records import sent_record
from pact_faststream import Expectation, MessagePact
from pydantic import ConfigDict, Field, WithJsonSchema, create_model

PAGE = (Path(__file__).parents[2] / "docs" / "evolving-events.md").read_text()
PARCEL_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")

Content = dict[str, Any]


# --- the event, as it was and as it became ---


def as_it_was() -> Any:
    class ParcelShipped(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
        parcel_id: UUID
        weight: int

    return ParcelShipped


def with_a_field_more() -> Any:
    class ParcelShipped(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
        parcel_id: UUID
        weight: int
        carrier: str

    return ParcelShipped


def with_a_deprecated_field() -> Any:
    class ParcelShipped(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
        parcel_id: UUID
        weight: Annotated[int, Field(deprecated="in kilograms; grams say more")]
        carrier: str
        grams: int

    return ParcelShipped


def without_the_deprecated_field() -> Any:
    class ParcelShipped(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
        parcel_id: UUID
        carrier: str
        grams: int

    return ParcelShipped


class ParcelShipped(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    model_config = ConfigDict(json_schema_extra={"deprecated": True})

    parcel_id: UUID
    weight: Annotated[int, Field(deprecated="in kilograms; grams say more")]
    carrier: str
    grams: int


class ParcelShippedV2(Event, type="parcel.shipped.v2", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    carrier: str
    grams: int


async def ship_parcel(parcel_id: UUID, grams: int, uow: UnitOfWork) -> None:
    new = ParcelShippedV2(parcel_id=parcel_id, carrier="bike", grams=grams)
    old = ParcelShipped(parcel_id=parcel_id, weight=grams // 1000, carrier="bike", grams=grams)
    uow.events.append(new, old, sequence=1)


def published(*events: type[Event]) -> Content:
    return document(title="warehouse", version="1", published=events, consumed=[])


# --- its consumer ---


class ParcelShippedV1(ConsumedEvent, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    weight: int


async def receive_v1(event: ParcelShippedV1, uow: Any) -> None:
    uow.received.append((event.parcel_id, 1000 * event.weight))


def reading_both() -> Sequence[Route[Any]]:
    class ParcelShippedV2(ConsumedEvent, type="parcel.shipped.v2", topic="parcels", key_field="parcel_id"):
        parcel_id: UUID
        grams: int

    async def receive_v2(event: ParcelShippedV2, uow: Any) -> None:
        uow.received.append((event.parcel_id, event.grams))

    routes = [Route(ParcelShippedV2, receive_v2), Route(ParcelShippedV1, receive_v1)]
    return routes  # noqa: RET504 - the page shows the line above


READING_V1 = [Route(ParcelShippedV1, receive_v1)]
READING_BOTH = reading_both()
READING_V2 = READING_BOTH[:1]


@dataclass(frozen=True)
class Rows:
    table: dict[int, tuple[UUID, int]]

    def append(self, row: tuple[UUID, int]) -> None:
        self.table[len(self.table)] = row


class InMemoryReception(InMemoryUnitOfWork):
    def __init__(self, state: State, *, source: str, now: datetime) -> None:
        super().__init__(state, source=source, now=now)
        self.received = Rows(state.table("received"))


class Reception:
    """The consumer's database, and its deployments one after another."""

    def __init__(self) -> None:
        self.database = InMemoryDatabase(InMemoryReception, source="/reception")

    async def reads(self, *records: OutgoingRecord, by: Sequence[Route[Any]]) -> None:
        deployment: BatchConsumer[Any] = BatchConsumer("reception", by, self.database, Metrics(self.database.clock))
        for record in records:
            await deployment.handle([sent_record(record)])
        assert not self.database.state.dead_letters

    @property
    def received(self) -> list[tuple[UUID, int]]:
        return list(self.database.state.table("received").values())


async def shipped(*events: Event) -> list[OutgoingRecord]:
    warehouse = InMemoryDatabase(InMemoryUnitOfWork, source="/warehouse")
    async with warehouse() as uow:
        if events:
            uow.events.append(*events, sequence=1)
        else:
            await ship_parcel(PARCEL_ID, 3000, uow)
    return list(await warehouse.outbox())


# --- 1. add a field ---


async def test_a_field_that_is_added_breaks_nobody_and_a_reader_of_the_old_form_reads_on() -> None:
    reception = Reception()
    event = with_a_field_more()(parcel_id=PARCEL_ID, weight=3, carrier="bike")

    await reception.reads(*await shipped(event), by=READING_V1)

    assert breaking_changes(published(as_it_was()), published(with_a_field_more())) == []
    assert reception.received == [(PARCEL_ID, 3000)]


# --- 2. deprecate a field ---


def test_a_deprecated_field_is_still_published_and_says_so() -> None:
    later = published(with_a_deprecated_field())

    assert breaking_changes(published(with_a_field_more()), later) == []
    assert later["components"]["schemas"]["ParcelShipped"]["properties"]["weight"]["deprecated"] is True


def test_a_deprecated_field_cant_be_removed(tmp_path: Path) -> None:
    check_document(published(with_a_deprecated_field()), tmp_path, write=True)

    with pytest.raises(BreakingChangeError) as refused:
        check_document(published(without_the_deprecated_field()), tmp_path, write=True)

    assert str(refused.value).splitlines()[1] in shown("text")


# --- 3. publish v2 beside v1 ---


def test_a_second_version_beside_the_first_breaks_nobody() -> None:
    before, beside = published(with_a_deprecated_field()), published(ParcelShipped, ParcelShippedV2)

    assert breaking_changes(before, beside) == []


async def test_both_versions_are_one_fact_under_one_id_the_newest_first() -> None:
    newest, oldest = await shipped()

    assert [newest.headers["ce_type"], oldest.headers["ce_type"]] == ["parcel.shipped.v2", "parcel.shipped.v1"]
    assert newest.headers["ce_id"] == oldest.headers["ce_id"]


@pytest.mark.parametrize("routes", [READING_V1, READING_BOTH, READING_V2], ids=["v1", "both", "v2"])
@pytest.mark.parametrize("order", [1, -1], ids=["as sent", "the other way round"])
async def test_each_fact_is_handled_once_whichever_versions_are_read(routes: Sequence[Route[Any]], order: int) -> None:
    reception = Reception()

    await reception.reads(*(await shipped())[::order], by=routes)

    assert reception.received == [(PARCEL_ID, 3000)]


@pytest.mark.parametrize(
    "deployments", [(READING_V1, READING_BOTH), (READING_BOTH, READING_V2)], ids=["v1 to both", "both to v2"]
)
async def test_a_deployment_between_the_two_records_of_a_fact_loses_and_repeats_nothing(
    deployments: Sequence[Sequence[Route[Any]]],
) -> None:
    reception = Reception()

    for record, routes in zip(await shipped(), deployments, strict=True):
        await reception.reads(record, by=routes)

    assert reception.received == [(PARCEL_ID, 3000)]


async def test_a_deployment_from_v1_to_v2_in_one_step_can_lose_a_fact() -> None:
    reception = Reception()
    newest, oldest = await shipped()

    await reception.reads(newest, by=READING_V1)
    await reception.reads(oldest, by=READING_V2)

    assert reception.received == []


# --- 4. retire v1 ---


def test_v1_stays_as_long_as_a_pact_names_it(tmp_path: Path) -> None:
    seen = ParcelShippedV1(parcel_id=PARCEL_ID, weight=3)
    expected = Expectation("a parcel was shipped", seen, given="a parcel is shipped")
    MessagePact("reception", "warehouse", (expected,)).file(tmp_path / "pacts").check(write=True)
    check_document(published(ParcelShippedV2), tmp_path / "asyncapi", write=True)

    [left] = disagreements("warehouse", tmp_path)

    assert left in shown("text")


def test_an_event_goes_that_was_deprecated_before() -> None:
    assert breaking_changes(published(ParcelShipped, ParcelShippedV2), published(ParcelShippedV2)) == []


def test_an_event_that_was_not_deprecated_stays() -> None:
    [refused] = breaking_changes(published(as_it_was(), ParcelShippedV2), published(ParcelShippedV2))

    assert str(refused) in shown("text")


# --- what is still in the topic ---


def test_a_reader_that_counts_on_a_new_field_too_early_is_told_which_form_lacks_it(tmp_path: Path) -> None:
    class CarrierSeen(ConsumedEvent, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
        parcel_id: UUID
        carrier: str

    for event in (as_it_was(), with_a_field_more()):
        check_forms(published(event), tmp_path, write=True)

    with pytest.raises(UnreadableFormError) as refused:
        check_forms(
            document(title="reception", version="1", published=[], consumed=[CarrierSeen]), tmp_path, write=True
        )

    assert re.sub(r"20\d\d-\d\d-\d\d", "2026-01-01", str(refused.value)) in shown("text")


# --- an enum that is meant to grow ---

Carrier = Annotated[Literal["bike", "van"], WithJsonSchema({"type": "string", "x-extensible-enum": ["bike", "van"]})]
MoreCarriers = Annotated[Literal["bike", "van", "drone"], WithJsonSchema({"type": "string"})]


@pytest.mark.parametrize(
    ("before", "after", "breaking"),
    [(Literal["bike", "van"], Literal["bike", "van", "drone"], 1), (Carrier, MoreCarriers, 0)],
    ids=["closed", "open"],
)
def test_only_an_open_enum_can_grow(before: Any, after: Any, breaking: int) -> None:
    closed, grown = (create_model("ParcelShipped", __base__=ParcelShipped, carrier=kind) for kind in (before, after))

    assert len(breaking_changes(published(closed), published(grown))) == breaking


# --- the page ---


def shown(language: str) -> str:
    return "\n".join(blocks(language))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def lines(code: str) -> str:
    """Without empty lines: their number depends on how deep the code stands."""
    return "\n".join(line for line in code.splitlines() if line.strip())


@pytest.mark.parametrize("block", blocks("python"))
def test_the_code_on_the_page_is_what_runs_here(block: str) -> None:
    here = lines(Path(__file__).read_text())

    assert lines(block) in here or lines(textwrap.indent(block, "    ")) in here
