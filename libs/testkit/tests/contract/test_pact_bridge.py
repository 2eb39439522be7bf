"""Each way in which a Pact message test could pass for nothing is made here, and caught."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest
from chassis.envelope import OutgoingRecord, encode
from chassis.events import ConsumedAmount, ConsumedEvent, ConsumedTimestamp, Event
from pydantic import ValidationError
from testkit.pact import Expectation, MessagePact, ProviderVerificationError, StalePactError, verify_provider
from testkit.pact.rules import body_rules

PARCEL_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")


class ParcelSeen(ConsumedEvent):
    type: ClassVar[str] = "parcel.shipped.v1"
    topic: ClassVar[str] = "parcels"
    key_field: ClassVar[str] = "parcel_id"

    parcel_id: UUID
    weight: int


class ParcelShipped(Event):
    type: ClassVar[str] = "parcel.shipped.v1"
    topic: ClassVar[str] = "parcels"
    key_field: ClassVar[str] = "parcel_id"

    parcel_id: UUID
    weight: int | str
    carrier: str = "by bike"


SHIPPED = Expectation(
    "a parcel was shipped",
    ParcelSeen,
    example={"parcel_id": str(PARCEL_ID), "weight": 3},
    given="a parcel is shipped",
)
PACT = MessagePact("reception", "warehouse", (SHIPPED,))


def shipped(weight: int | str = 5, **changes: Any) -> OutgoingRecord:
    event = ParcelShipped(parcel_id=PARCEL_ID, weight=weight)
    record = encode(event, source="/warehouse", sequence=1, time=datetime.now(UTC), traceparent=None)
    return OutgoingRecord(**{**vars(record), **changes})


@pytest.fixture
def pact_file(tmp_path: Path) -> Path:
    PACT.check_file(tmp_path, write=True)
    return tmp_path / "reception-warehouse.json"


async def verified(pact_file: Path, record: OutgoingRecord, provider: str = "warehouse") -> int:
    async def produce(_: Mapping[str, Any]) -> OutgoingRecord:
        return record

    return await verify_provider(provider, pact_file, {"a parcel is shipped": produce})


# --- the consumer's side ---


async def test_the_subscriber_gets_the_record_that_the_provider_would_send() -> None:
    received: list[Any] = []

    async def feed(record: Any) -> None:
        received.append(record)

    await PACT.receive("a parcel was shipped", feed)

    [record] = received
    assert (record.topic, record.key) == ("parcels", str(PARCEL_ID).encode())
    assert json.loads(record.value) == {"parcel_id": str(PARCEL_ID), "weight": 3}
    assert dict(record.headers)["ce_type"] == b"parcel.shipped.v1"


async def test_a_subscriber_that_refuses_the_message_fails_the_test() -> None:
    async def refuse(_: Any) -> None:
        raise RuntimeError("not like this")

    with pytest.raises(RuntimeError, match="not like this"):
        await PACT.receive("a parcel was shipped", refuse)


async def test_an_expectation_that_nobody_stated_is_an_error() -> None:
    async def feed(_: Any) -> None:
        return None

    with pytest.raises(LookupError, match="reception has no expectation 'a parcel was lost'"):
        await PACT.receive("a parcel was lost", feed)


def test_an_example_that_the_consumers_own_model_refuses_is_an_error() -> None:
    with pytest.raises(ValidationError):
        Expectation("a parcel", ParcelSeen, example={"parcel_id": "5"}, given="any")


def test_a_pact_file_that_is_missing_or_stale_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StalePactError, match="make contracts"):
        PACT.check_file(tmp_path, write=False)

    PACT.check_file(tmp_path, write=True)
    PACT.check_file(tmp_path, write=False)

    with pytest.raises(StalePactError, match="make contracts"):
        MessagePact("reception", "warehouse", ()).check_file(tmp_path, write=False)


# --- the provider's side ---


async def test_a_provider_that_keeps_the_contract_passes_whatever_else_it_sends(pact_file: Path) -> None:
    assert await verified(pact_file, shipped(weight=12)) == 1


@pytest.mark.parametrize(
    "record",
    [
        shipped(weight="heavy"),
        shipped(topic="elsewhere"),
        shipped(key="another key"),
        shipped(value=b"{}"),
        shipped(headers={"ce_type": "parcel.shipped.v2", "content-type": "application/json"}),
        shipped(headers={"content-type": "application/json"}),
    ],
    ids=["another type", "another topic", "another key", "empty", "another event", "no event type"],
)
async def test_a_provider_that_breaks_the_contract_fails_with_pacts_report(
    pact_file: Path, record: OutgoingRecord
) -> None:
    with pytest.raises(ProviderVerificationError, match="a parcel was shipped"):
        await verified(pact_file, record)


async def test_a_use_case_that_fails_is_no_message(pact_file: Path) -> None:
    async def fail(_: Mapping[str, Any]) -> OutgoingRecord:
        raise RuntimeError("the use case failed")

    with pytest.raises(RuntimeError, match="the use case failed"):
        await verify_provider("warehouse", pact_file, {"a parcel is shipped": fail})


async def test_a_state_without_a_producer_is_an_error(pact_file: Path) -> None:
    with pytest.raises(ProviderVerificationError, match="no producer for the provider state a parcel is shipped"):
        await verify_provider("warehouse", pact_file, {})


async def test_the_wrong_provider_is_an_error(pact_file: Path) -> None:
    with pytest.raises(ProviderVerificationError, match="is about warehouse, not post"):
        await verified(pact_file, shipped(), provider="post")


async def test_a_missing_pact_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProviderVerificationError, match="there is no pact file"):
        await verified(tmp_path / "none.json", shipped())


@pytest.fixture
def pact_file_without_interactions(pact_file: Path) -> Path:
    document = json.loads(pact_file.read_text())
    pact_file.write_text(json.dumps({**document, "interactions": []}))
    return pact_file


async def test_a_pact_without_interactions_is_an_error(pact_file_without_interactions: Path) -> None:
    with pytest.raises(ProviderVerificationError, match="nothing would be verified"):
        await verified(pact_file_without_interactions, shipped())


# --- matching rules ---


def test_rules_come_from_what_the_consumer_reads() -> None:
    class Everything(ConsumedEvent):
        type: ClassVar[str] = "everything.v1"
        topic: ClassVar[str] = "all"
        key_field: ClassVar[str] = "id"

        id: UUID
        amount: ConsumedAmount
        at: ConsumedTimestamp
        count: int
        ratio: float
        sure: bool
        tags: list[str]
        note: str | None

    rules = {path: [matcher["match"] for matcher in rule["matchers"]] for path, rule in body_rules(Everything).items()}

    assert rules == {
        "$.id": ["type", "regex"],
        "$.amount": ["type", "regex"],
        "$.at": ["type", "regex"],
        "$.count": ["integer"],
        "$.ratio": ["number"],
        "$.sure": ["type"],
        "$.tags": ["type"],
        "$.tags[*]": ["type"],
        "$.note": ["type", "null"],
    }


def test_a_union_of_several_types_has_no_rule() -> None:
    class Ambiguous(ConsumedEvent):
        value: int | str

    with pytest.raises(NotImplementedError, match=r"\$.value"):
        body_rules(Ambiguous)
