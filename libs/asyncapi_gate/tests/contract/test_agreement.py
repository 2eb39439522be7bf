"""Schema, pact and code say the same: each way in which they could differ is made here, and caught."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from asyncapi_gate import UndocumentedRecordError, assert_published_as_documented, check_document, disagreements
from outboxed.messages import ConsumedData, ConsumedEvent, Event, EventData, OutgoingRecord, document, encode
from pact_faststream import Expectation, MessagePact

PARCEL_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")


class Size(EventData):
    height: int
    width: int


class ParcelShipped(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    size: Size
    carrier: str | None = None


class SizeSeen(ConsumedData):
    height: int


class ParcelSeen(ConsumedEvent, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    size: SizeSeen


WAREHOUSE = document(title="warehouse", version="1", published=[ParcelShipped], consumed=[])
RECEPTION = document(title="reception", version="1", published=[], consumed=[ParcelSeen])
SEEN = ParcelSeen(parcel_id=PARCEL_ID, size=SizeSeen(height=3))


# --- the code ---


def shipped(**changes: Any) -> OutgoingRecord:
    event = ParcelShipped(parcel_id=PARCEL_ID, size=Size(height=3, width=4))
    record = encode(event, source="/warehouse", sequence=1, time=datetime.now(UTC), traceparent=None)
    return replace(record, **changes)


def saying(**fields: Any) -> OutgoingRecord:
    data = json.loads(shipped().value) | fields
    return shipped(value=json.dumps({name: value for name, value in data.items() if value != "absent"}).encode())


def under(**headers: str | None) -> OutgoingRecord:
    named = {name.replace("content_type", "content-type"): value for name, value in headers.items()}
    merged = {**shipped().headers, **named}
    return shipped(headers={name: value for name, value in merged.items() if value is not None})


def test_a_record_as_it_is_documented_passes() -> None:
    assert_published_as_documented(WAREHOUSE, [shipped(), saying(carrier="bike"), under(traceparent="00-a-b-01")])


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (saying(size={"height": "3", "width": 4}), "size.height: '3' is not of type 'integer'"),
        (saying(size={"height": 3}), "size: 'width' is a required property"),
        (saying(size=None), "size: None is not of type 'object'"),
        (saying(carrier=7), "carrier: 7 is not valid under any of the given schemas"),
        (saying(carrier="absent"), "the value: 'carrier' is a required property"),
        (saying(colour="red"), "the value: Additional properties are not allowed ('colour' was unexpected)"),
        (saying(parcel_id="5"), "parcel_id: '5' is not a 'uuid'"),
        (saying(parcel_id=str(uuid4())), f"its key {PARCEL_ID} isn't its parcel_id"),
        (shipped(key="5"), "its key 5 isn't its parcel_id"),
        (shipped(topic="elsewhere"), "is sent to the topic elsewhere, documented is parcels"),
        (shipped(value=b"{"), "its value is no JSON"),
        (shipped(value=b"[]"), "the value: [] is not of type 'object'"),
        (under(ce_id=None), "headers: the value: 'ce_id' is a required property"),
        (under(ce_time="now"), "headers: ce_time: 'now' is not a 'date-time'"),
        (under(ce_sequence="one"), "headers: ce_sequence: 'one' does not match '^[0-9]+$'"),
        (under(content_type="text/plain"), "headers: content-type: 'application/json' was expected"),
        (under(ce_type="parcel.lost.v1"), "parcel.lost.v1: warehouse sends it, but doesn't document it"),
        (under(ce_type=None), "a record without ce_type: warehouse sends it, but doesn't document it"),
    ],
)  # fmt: skip
def test_a_record_that_is_not_as_documented_is_an_error_that_says_where(record: OutgoingRecord, says: str) -> None:
    with pytest.raises(UndocumentedRecordError) as caught:
        assert_published_as_documented(WAREHOUSE, [shipped(), record])

    assert any(line.endswith(says) for line in str(caught.value).splitlines())


def test_no_record_at_all_is_no_agreement() -> None:
    with pytest.raises(UndocumentedRecordError, match="there is no record to compare"):
        assert_published_as_documented(WAREHOUSE, [])


# --- the pacts ---

Folder = Path
Content = dict[str, Any]


@pytest.fixture
def contracts(tmp_path: Path) -> Folder:
    """A provider, a consumer, and the pact between them."""
    for made in (WAREHOUSE, RECEPTION):
        check_document(made, tmp_path / "asyncapi", write=True)
    write_pact(tmp_path, Expectation("a parcel was shipped", SEEN, given="a parcel is shipped"))
    return tmp_path


def write_pact(contracts: Folder, *expectations: Expectation, provider: str = "warehouse") -> None:
    MessagePact("reception", provider, expectations).file(contracts / "pacts").check(write=True)


def change_pact(contracts: Folder, change: Callable[[Content], object]) -> None:
    path = contracts / "pacts" / "reception-warehouse.json"
    pact = json.loads(path.read_text())
    change(pact["interactions"][0])
    path.write_text(json.dumps(pact))


def test_a_provider_and_a_consumer_that_agree_have_nothing_to_say(contracts: Folder) -> None:
    assert disagreements("warehouse", contracts) == []
    assert disagreements("reception", contracts) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda message: message["metadata"].update(ce_type="parcel.lost.v1"),
         "reception expects parcel.lost.v1, which warehouse doesn't send"),
        (lambda message: message["metadata"].update(kafka_topic="elsewhere"),
         "reception expects parcel.shipped.v1: on the topic elsewhere, documented is parcels"),
        (lambda message: message["metadata"].update(kafka_key_field="carrier"),
         "reception expects parcel.shipped.v1: under the key carrier, documented is parcel_id"),
        (lambda message: message["contents"]["content"].update(colour="red"),
         "reception expects parcel.shipped.v1: the value: Additional properties are not allowed"),
        (lambda message: message["contents"]["content"]["size"].update(depth=5),
         "reception expects parcel.shipped.v1: size: Additional properties are not allowed"),
        (lambda message: message["contents"]["content"]["size"].update(height="3"),
         "reception expects parcel.shipped.v1: size.height: '3' is not of type 'integer'"),
    ],
)  # fmt: skip
def test_a_provider_whose_document_has_not_what_a_consumer_expects_disagrees(
    contracts: Folder, change: Callable[[Content], object], says: str
) -> None:
    change_pact(contracts, change)

    [disagreement] = disagreements("warehouse", contracts)
    assert disagreement.startswith(says)


def test_an_event_that_is_consumed_without_an_expectation_disagrees_and_says_where_to_add_one(
    contracts: Folder,
) -> None:
    (contracts / "pacts" / "reception-warehouse.json").unlink()

    assert disagreements("reception", contracts) == [
        (
            "reception consumes parcel.shipped.v1 without an expectation: "
            "add one to services/reception/tests/contract/expectations.py"
        )
    ]


def test_an_expectation_of_an_event_that_is_not_consumed_disagrees(contracts: Folder) -> None:
    nothing = document(title="reception", version="1", published=[], consumed=[])
    check_document(nothing, contracts / "asyncapi", write=True)

    assert disagreements("reception", contracts) == [
        "reception has a pact about parcel.shipped.v1, which it doesn't consume: route it, or drop the expectation"
    ]


def test_a_provider_that_nobody_documents_disagrees(contracts: Folder) -> None:
    (contracts / "asyncapi" / "warehouse.json").unlink()

    assert disagreements("reception", contracts) == [
        "reception has a pact with warehouse, of which there is no asyncapi/warehouse.json"
    ]
    assert disagreements("warehouse", contracts) == ["there is no asyncapi/warehouse.json: run `make contracts`"]


def test_a_pact_over_http_has_no_part_in_it(contracts: Folder) -> None:
    interaction = {"type": "Synchronous/HTTP", "description": "a charge"}
    pact = {"consumer": {"name": "warehouse"}, "provider": {"name": "bank"}, "interactions": [interaction]}
    (contracts / "pacts" / "warehouse-bank.json").write_text(json.dumps(pact))

    assert disagreements("warehouse", contracts) == []
