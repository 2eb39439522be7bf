"""Each way in which a Pact message test could pass for nothing is made here, and caught."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from faststream.kafka import KafkaBroker, TestKafkaBroker
from outboxed.messages import (
    ConsumedAmount,
    ConsumedData,
    ConsumedEvent,
    ConsumedTimestamp,
    Event,
    OutgoingRecord,
    encode,
)
from pact_faststream import (
    Expectation,
    ExpectationError,
    MessagePact,
    NoPactsError,
    PactFolder,
    ProviderState,
    ProviderVerificationError,
    StalePactError,
    verify_provider,
)
from pact_faststream.rules import body_rules
from pact_faststream.sources import HandedOver, Interaction
from pydantic import Field

PARCEL_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")


class ParcelSeen(ConsumedEvent, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    weight: int
    tags: list[str] = Field(default_factory=list)


class ParcelShipped(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    weight: int | str
    carrier: str = "by bike"


EXAMPLE = ParcelSeen(parcel_id=PARCEL_ID, weight=3)
GIVEN = "a parcel is shipped"
SHIPPED = Expectation("a parcel was shipped", EXAMPLE, given=GIVEN)
PACT = MessagePact("reception", "warehouse", (SHIPPED,))


# --- the consumer's side ---


@dataclass
class Reception:
    """A consumer with plain FastStream, that knows nothing of outboxed."""

    seen: list[Any] = field(default_factory=list)

    def outcome(self) -> list[Any]:
        return list(self.seen)

    async def remember(self, parcel: ParcelSeen) -> None:
        self.seen.append(parcel)

    async def remember_all(self, parcels: list[ParcelSeen]) -> None:
        self.seen += parcels

    @asynccontextmanager
    async def listening(
        self, handler: Callable[..., Awaitable[None]] | None = None, *, topic: str = "parcels", batch: bool = False
    ) -> AsyncIterator[Any]:
        broker = KafkaBroker("localhost:9092")
        subscriber: Any = broker.subscriber(topic, batch=batch)
        subscriber(handler or self.remember)
        async with TestKafkaBroker(broker):
            yield subscriber


@pytest.fixture
def reception() -> Reception:
    return Reception()


async def test_the_subscriber_gets_the_record_that_the_provider_would_send(reception: Reception) -> None:
    async with reception.listening() as subscriber:
        await PACT.receive("a parcel was shipped", subscriber, reception.outcome)

    assert reception.seen == [EXAMPLE]


async def test_a_batch_subscriber_gets_a_batch(reception: Reception) -> None:
    async with reception.listening(reception.remember_all, batch=True) as subscriber:
        await PACT.receive("a parcel was shipped", subscriber, reception.outcome)

    assert reception.seen == [EXAMPLE]


async def test_a_subscriber_that_refuses_the_message_fails_the_test(reception: Reception) -> None:
    async def refuse(parcel: ParcelSeen) -> None:
        raise RuntimeError(f"not like this: {parcel.weight}")

    async with reception.listening(refuse) as subscriber:
        with pytest.raises(RuntimeError, match="not like this: 3"):
            await PACT.receive("a parcel was shipped", subscriber, reception.outcome)


async def test_a_handler_whose_work_is_never_awaited_fails_the_test(reception: Reception) -> None:
    async def forget(parcel: ParcelSeen) -> None:
        reception.remember(parcel).close()  # closed, since Python's own warning would be the failure otherwise

    async with reception.listening(forget) as subscriber:
        with pytest.raises(AssertionError, match="changed nothing in reception: was the handler awaited"):
            await PACT.receive("a parcel was shipped", subscriber, reception.outcome)


async def test_an_outcome_may_be_awaited(reception: Reception) -> None:
    async def outcome() -> list[Any]:
        return reception.outcome()

    async with reception.listening() as subscriber:
        await PACT.receive("a parcel was shipped", subscriber, outcome)


async def test_a_topic_that_the_subscriber_does_not_listen_to_fails_the_test(reception: Reception) -> None:
    async with reception.listening(topic="letters") as subscriber:
        with pytest.raises(AssertionError, match="doesn't listen to the topic 'parcels', only to letters"):
            await PACT.receive("a parcel was shipped", subscriber, reception.outcome)


async def test_an_expectation_that_nobody_stated_is_an_error(reception: Reception) -> None:
    async with reception.listening() as subscriber:
        with pytest.raises(LookupError, match="reception has no expectation 'a parcel was lost'"):
            await PACT.receive("a parcel was lost", subscriber, reception.outcome)


def test_an_example_without_any_field_is_an_error() -> None:
    class Anything(ConsumedEvent, type="anything.v1", topic="all", key_field="id"):
        id: str = ""

    with pytest.raises(ExpectationError, match="accepts any message"):
        Expectation("anything", Anything(), given="any")


def test_an_example_with_an_empty_list_is_an_error() -> None:
    with pytest.raises(ExpectationError, match=r"\$\.tags is empty"):
        Expectation("a parcel", ParcelSeen(parcel_id=PARCEL_ID, weight=1, tags=[]), given="any")


def test_a_pact_file_that_is_missing_or_stale_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StalePactError, match="make contracts"):
        PACT.file(tmp_path).check(write=False)

    PACT.file(tmp_path).check(write=True)
    PACT.file(tmp_path).check(write=False)

    with pytest.raises(StalePactError, match="make contracts"):
        MessagePact("reception", "warehouse", ()).file(tmp_path).check(write=False)


@pytest.mark.parametrize("another", ["a parcel was shipped", "a parcel was shipped, with other values"])
def test_two_expectations_of_one_description_are_an_error(another: str) -> None:
    lighter = ParcelSeen(parcel_id=UUID(int=7), weight=2)
    shipped = Expectation("a parcel was shipped", EXAMPLE, given=GIVEN, another=lighter)

    with pytest.raises(ExpectationError, match=f"^reception expects '{another}' of warehouse twice: "):
        MessagePact("reception", "warehouse", (shipped, Expectation(another, EXAMPLE, given="another state")))


def test_the_order_of_expectations_does_not_change_the_file(tmp_path: Path) -> None:
    other = Expectation("another parcel was shipped", EXAMPLE, given="a parcel is shipped")
    MessagePact("reception", "warehouse", (SHIPPED, other)).file(tmp_path).check(write=True)

    MessagePact("reception", "warehouse", (other, SHIPPED)).file(tmp_path).check(write=False)


# --- the provider's side ---


@dataclass
class Warehouse:
    """A provider with an outbox."""

    rows: list[OutgoingRecord] = field(default_factory=list)

    async def outbox(self) -> Sequence[OutgoingRecord]:
        return list(self.rows)

    async def ship(self, weight: int | str = 5, **changes: Any) -> None:
        event = ParcelShipped(parcel_id=PARCEL_ID, weight=weight)
        record = encode(event, source="/warehouse", sequence=1, time=datetime.now(UTC), traceparent=None)
        self.rows.append(OutgoingRecord(**{**vars(record), **changes}))

    async def verify(self, folder: Path, provider: str = "warehouse", **variants: Any) -> int:
        states = {"a parcel is shipped": ProviderState(ParcelShipped, variants)}
        return len(await verify_provider(provider, PactFolder(folder), states, outbox=self.outbox))


@pytest.fixture
def warehouse() -> Warehouse:
    return Warehouse()


@pytest.fixture
def pacts(tmp_path: Path) -> Path:
    PACT.file(tmp_path).check(write=True)
    return tmp_path


async def test_a_provider_that_keeps_the_contract_passes_whatever_else_it_sends(
    warehouse: Warehouse, pacts: Path
) -> None:
    assert await warehouse.verify(pacts, light=lambda: warehouse.ship(1), heavy=lambda: warehouse.ship(12)) == 2


@pytest.mark.parametrize(
    "broken",
    [
        {"weight": "heavy"},
        {"topic": "elsewhere"},
        {"key": "another key"},
        {"headers": {"ce_id": "1", "ce_type": "parcel.shipped.v2"}},
        {"headers": {"ce_id": "1"}},
        {"headers": {"ce_type": "parcel.shipped.v1"}},
        {"headers": {"ce_id": "", "ce_type": "parcel.shipped.v1"}},
        {"value": b"no json"},
        {"value": b"{}"},
        {"value": b"null"},
        {"value": b""},
    ],
    ids=str,
)
async def test_a_provider_that_breaks_the_contract_fails(
    warehouse: Warehouse, pacts: Path, broken: dict[str, Any]
) -> None:
    with pytest.raises(ProviderVerificationError, match=r"reception expects 'a parcel was shipped' \(now\)"):
        await warehouse.verify(pacts, now=lambda: warehouse.ship(**broken))


async def test_a_variant_that_breaks_the_contract_is_named_with_what_is_wrong(
    warehouse: Warehouse, pacts: Path
) -> None:
    with pytest.raises(ProviderVerificationError, match=r"\(heavy\):\n    \$\.weight: .*'heavy'"):
        await warehouse.verify(
            pacts,
            light=lambda: warehouse.ship(1),
            heavy=lambda: warehouse.ship("heavy"),
            medium=lambda: warehouse.ship(2),
        )


async def test_a_use_case_that_fails_is_no_message(warehouse: Warehouse, pacts: Path) -> None:
    async def fail() -> None:
        raise RuntimeError("the use case failed")

    with pytest.raises(ProviderVerificationError, match="RuntimeError: the use case failed"):
        await warehouse.verify(pacts, now=fail)


async def test_a_use_case_that_publishes_nothing_is_no_message(warehouse: Warehouse, pacts: Path) -> None:
    async def nothing() -> None:
        return None

    await warehouse.ship()

    with pytest.raises(ProviderVerificationError, match=r"wrote 0 rows of parcel\.shipped\.v1"):
        await warehouse.verify(pacts, now=nothing)


async def test_a_message_that_the_test_made_by_hand_is_refused(warehouse: Warehouse, pacts: Path) -> None:
    async def by_hand() -> bytes:
        return str(SHIPPED.body).encode()

    with pytest.raises(ProviderVerificationError, match="let it run the use case"):
        await warehouse.verify(pacts, now=by_hand)


async def test_a_state_that_nobody_made_is_an_error(warehouse: Warehouse, pacts: Path) -> None:
    with pytest.raises(ProviderVerificationError, match="nobody made the provider state 'a parcel is shipped'"):
        await verify_provider("warehouse", PactFolder(pacts), {}, outbox=warehouse.outbox)


def test_a_state_without_a_variant_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one variant"):
        ProviderState(ParcelShipped, {})


async def test_parameters_of_a_state_reach_the_use_case(warehouse: Warehouse, tmp_path: Path) -> None:
    heavy = Expectation("a heavy parcel was shipped", EXAMPLE, given="a parcel is shipped", parameters={"weight": 90})
    MessagePact("reception", "warehouse", (heavy,)).file(tmp_path).check(write=True)

    assert await warehouse.verify(tmp_path, now=warehouse.ship) == 1
    assert json.loads(warehouse.rows[0].value)["weight"] == 90


async def test_every_variant_gets_the_parameters_where_no_single_use_case_takes_them(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    heavy = Expectation("a heavy parcel was shipped", EXAMPLE, given=GIVEN, parameters={"weight": 90})
    MessagePact("reception", "warehouse", (heavy,)).file(tmp_path).check(write=True)

    async def by_air(weight: int) -> None:
        await warehouse.ship(weight, topic="elsewhere")

    with pytest.raises(ProviderVerificationError, match=r"reception expects 'a heavy parcel was shipped' \(by_air\)"):
        await warehouse.verify(tmp_path, by_road=warehouse.ship, by_air=by_air)


async def test_interactions_of_one_description_have_results_of_their_own(warehouse: Warehouse, pacts: Path) -> None:
    """Another consumer's tool may write such a pact: its states tell the two apart."""
    [pact] = PactFolder(pacts).pacts("warehouse")
    [asked] = pact.document["interactions"]
    twice = [{**asked, "key": None, "providerStates": [{"name": name}]} for name in ("by road", "by air")]
    PACT.file(pacts).path.write_text(json.dumps({**pact.document, "interactions": twice}))
    states = {
        "by road": ProviderState(ParcelShipped, {"now": warehouse.ship}),
        "by air": ProviderState(ParcelShipped, {"now": lambda: warehouse.ship("heavy")}),
    }
    handed_over = HandedOver(pacts)
    [pact] = PactFolder(pacts).pacts("warehouse")
    handed_over.hand_over([pact])

    with pytest.raises(ProviderVerificationError, match="heavy"):
        await verify_provider("warehouse", HandedOver(pacts), states, outbox=warehouse.outbox)

    assert {each.states: each.ok for each in handed_over.results(pact)} == {("by road",): True, ("by air",): False}


async def test_the_wrong_provider_is_an_error(warehouse: Warehouse, pacts: Path) -> None:
    with pytest.raises(NoPactsError, match="is about 'post', only about warehouse"):
        await warehouse.verify(pacts, provider="post", now=warehouse.ship)


async def test_a_folder_without_pacts_is_an_error(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(NoPactsError, match="only about nobody"):
        await warehouse.verify(tmp_path, now=warehouse.ship)


async def test_a_pact_without_interactions_is_an_error(warehouse: Warehouse, pacts: Path) -> None:
    pact_file = PACT.file(pacts).path
    pact_file.write_text(json.dumps({**json.loads(pact_file.read_text()), "interactions": []}))

    with pytest.raises(NoPactsError, match="nothing would be verified"):
        await warehouse.verify(pacts, now=warehouse.ship)


@pytest.mark.parametrize("state", [{"providerStates": [{"name": GIVEN}]}, {"providerState": GIVEN}])
async def test_a_pact_of_version_3_is_verified_and_its_results_name_its_interactions(
    warehouse: Warehouse, tmp_path: Path, state: Mapping[str, Any]
) -> None:
    asked = {"description": "a parcel was shipped", "contents": {"weight": 3}, "metaData": {}, **state}
    pact = {
        "consumer": {"name": "reception"},
        "provider": {"name": "warehouse"},
        "messages": [asked],
        "metadata": {"pactSpecification": {"version": "3.0.0"}},
    }
    (tmp_path / "old.json").write_text(json.dumps(pact))

    states = {GIVEN: ProviderState(ParcelShipped, {"light": lambda: warehouse.ship(3)})}

    [result] = await verify_provider("warehouse", PactFolder(tmp_path), states, outbox=warehouse.outbox)

    assert (result.ok, result.interaction) == (True, Interaction("a parcel was shipped", (GIVEN,)))
    with pytest.raises(ProviderVerificationError, match="weight"):
        await warehouse.verify(tmp_path, heavy=lambda: warehouse.ship(4))


# --- another process awaits the results ---


async def test_the_source_has_the_results_of_all_variants_when_the_test_fails(
    warehouse: Warehouse, pacts: Path, tmp_path: Path
) -> None:
    states = {
        "a parcel is shipped": ProviderState(
            ParcelShipped,
            {"light": warehouse.ship, "heavy": lambda: warehouse.ship("heavy"), "medium": warehouse.ship},
        )
    }
    handed_over = HandedOver(tmp_path)
    [pact] = PactFolder(pacts).pacts("warehouse")
    handed_over.hand_over([pact])

    with pytest.raises(ProviderVerificationError, match="heavy"):
        await verify_provider("warehouse", HandedOver(tmp_path), states, outbox=warehouse.outbox)

    results = handed_over.results(pact)
    assert {result.variant: result.ok for result in results} == {"light": True, "heavy": False, "medium": True}
    assert [result.fails for result in results if not result.ok] == [True]


async def test_what_became_of_one_consumers_interaction_says_nothing_of_anothers_with_the_same_words(
    warehouse: Warehouse, pacts: Path, tmp_path: Path
) -> None:
    MessagePact("office", "warehouse", (SHIPPED,)).file(pacts).check(write=True)
    failures = [RuntimeError("once")]

    async def ship() -> None:
        if failures:
            raise failures.pop()
        await warehouse.ship()

    states = {"a parcel is shipped": ProviderState(ParcelShipped, {"now": ship})}
    handed_over = HandedOver(tmp_path)
    office, reception = PactFolder(pacts).pacts("warehouse")
    handed_over.hand_over([office, reception])

    with pytest.raises(ProviderVerificationError, match="once"):
        await verify_provider("warehouse", handed_over, states, outbox=warehouse.outbox)

    assert [result.ok for pact in (office, reception) for result in handed_over.results(pact)] == [False, True]


async def test_a_pending_pact_fails_nobody_and_its_results_are_there(
    warehouse: Warehouse, pacts: Path, tmp_path: Path
) -> None:
    states = {"a parcel is shipped": ProviderState(ParcelShipped, {"heavy": lambda: warehouse.ship("heavy")})}
    [pact] = PactFolder(pacts).pacts("warehouse")
    pending = replace(pact, pending=True)
    handed_over = HandedOver(tmp_path)
    handed_over.hand_over([pending])

    results = await verify_provider("warehouse", handed_over, states, outbox=warehouse.outbox)

    assert [result.ok for result in results] == [False]
    assert handed_over.results(pending) == results


async def test_a_provider_of_which_nothing_was_handed_over_is_an_error(warehouse: Warehouse, tmp_path: Path) -> None:
    states = {"a parcel is shipped": ProviderState(ParcelShipped, {"now": warehouse.ship})}

    with pytest.raises(NoPactsError, match="no pact with 'warehouse' was handed over"):
        await verify_provider("warehouse", HandedOver(tmp_path), states, outbox=warehouse.outbox)


# --- matching rules ---


class Part(ConsumedData):
    name: str


class Everything(ConsumedEvent, type="everything.v1", topic="all", key_field="id"):
    id: UUID
    amount: ConsumedAmount
    at: ConsumedTimestamp
    count: int
    ratio: float
    sure: bool
    kind: Literal["a", "b.c"]
    tags: list[str]
    note: str | None
    other_id: UUID | None
    part: Part | None


def test_rules_come_from_what_the_consumer_reads() -> None:
    rules = {path: [matcher["match"] for matcher in rule["matchers"]] for path, rule in body_rules(Everything).items()}

    assert rules == {
        "$.id": ["type", "regex"],
        "$.amount": ["type", "regex"],
        "$.at": ["type", "regex"],
        "$.count": ["integer"],
        "$.ratio": ["number"],
        "$.sure": ["boolean"],
        "$.kind": ["regex"],
        "$.tags": ["type"],
        "$.tags[*]": ["type"],
        "$.note": ["type", "null"],
        "$.other_id": ["regex", "null"],
        "$.part": ["type", "null"],
        "$.part.name": ["type"],
    }


def test_an_enum_takes_its_members_literally() -> None:
    assert body_rules(Everything)["$.kind"]["matchers"] == [{"match": "regex", "regex": r"^(a|b\.c)$"}]


def test_a_rule_can_be_overridden(tmp_path: Path) -> None:
    rule = {"combine": "AND", "matchers": [{"match": "number"}]}
    lenient = Expectation("a parcel was shipped", EXAMPLE, given="a parcel is shipped", rules={"$.weight": rule})
    pact_file = MessagePact("reception", "warehouse", (lenient,)).file(tmp_path)
    pact_file.check(write=True)

    [interaction] = json.loads(pact_file.path.read_text())["interactions"]

    assert interaction["matchingRules"]["body"]["$.weight"] == rule


@pytest.mark.parametrize("annotation", [int | str, dict[str, int], Literal[1, 2], Any])
def test_a_shape_without_a_matching_rule_is_an_error_that_says_where(annotation: Any) -> None:
    class Shapeless(ConsumedEvent):
        value: annotation

    with pytest.raises(NotImplementedError, match=r"\$\.value: .*give the expectation `rules`"):
        body_rules(Shapeless)


@pytest.mark.parametrize(
    ("limits", "taken", "refused"),
    [
        ({"max_length": 3}, ["", "abc", "a\nb"], ["abcd"]),
        ({"min_length": 2}, ["ab", "a" * 1000], ["", "a"]),
        ({"min_length": 2, "max_length": 3}, ["ab", "abc"], ["a", "abcd"]),
    ],
)
def test_a_text_is_taken_by_the_limits_that_its_reader_has_and_by_no_others(
    limits: dict[str, Any], taken: list[str], refused: list[str]
) -> None:
    note: Any = Field(**limits)

    class Noted(ConsumedEvent):
        note_: Annotated[str, note]

    [pattern] = [one["regex"] for one in body_rules(Noted)["$.note_"]["matchers"] if one["match"] == "regex"]

    assert [text for text in [*taken, *refused] if re.search(pattern, text)] == taken
