"""A field that no pact holds is told: of who publishes, of who reads, and of an HTTP answer."""

from typing import Any
from uuid import UUID

import pytest
from asyncapi_gate.coverage import Coverage, coverage, leaves, of_answer
from asyncapi_gate.reading import Document
from outboxed.messages import ConsumedData, ConsumedEvent, Event, EventData, document
from pydantic import BaseModel

PARCEL = "parcel.shipped.v1"
UNREAD = "no pact reads it, and nobody says why it is sent"
NO_VALUE = "the model reads it, but it has no value in the pact"


class Item(EventData):
    sku: str
    quantity: int


class Crate(EventData):
    weight: int
    inside: list["Crate"]


class ParcelShipped(Event, type=PARCEL, topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    items: list[Item]
    carrier: str | None
    prices: dict[str, int]


class SizeSeen(ConsumedData):
    height: int
    width: int | None


class ParcelSeen(ConsumedEvent, type=PARCEL, topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    size: SizeSeen
    carrier: str = "bike"


WAREHOUSE = Document(document(title="warehouse", version="1", published=[ParcelShipped], consumed=[]))
RECEPTION = Document(document(title="reception", version="1", published=[], consumed=[ParcelSeen]))
WHOLE = {"parcel_id": "1", "items": [{"sku": "a", "quantity": 1}], "carrier": "bike", "prices": {"EUR": 1}}
SEEN = {"parcel_id": "1", "size": {"height": 1, "width": 1}, "carrier": "bike"}


def pact(*examples: Any, event: str = PARCEL) -> dict[str, Any]:
    interactions = [
        {"type": "Asynchronous/Messages", "metadata": {"ce_type": event}, "contents": {"content": example}}
        for example in examples
    ]
    return {"consumer": {"name": "reception"}, "provider": {"name": "warehouse"}, "interactions": interactions}


def published(*examples: Any, **listed: str) -> Coverage:
    [found] = coverage([WAREHOUSE], [pact(*examples)], {PARCEL: listed})
    return found


def read(*examples: Any) -> Coverage:
    [found] = coverage([RECEPTION], [pact(*examples)], {})
    return found


def without(path: str) -> Any:
    return {name: value for name, value in WHOLE.items() if name != path}


def test_an_event_of_which_everything_is_read_is_whole() -> None:
    found = published(WHOLE)

    assert (str(found), found.problems) == (f"warehouse publishes {PARCEL}: 5/5 fields", [])


@pytest.mark.parametrize(
    ("example", "fields"),
    [
        (without("carrier"), ["carrier"]),
        (WHOLE | {"carrier": None}, ["carrier"]),
        (WHOLE | {"items": [{"sku": "a"}]}, ["items[].quantity"]),
        (WHOLE | {"items": []}, ["items[].sku", "items[].quantity"]),
        (WHOLE | {"prices": {}}, ["prices.*"]),
    ],
)
def test_a_published_field_that_no_pact_reads_is_told(example: Any, fields: list[str]) -> None:
    found = published(example)

    assert found.problems == [f"{field}: {UNREAD}" for field in fields]
    assert (found.held, found.fields) == (5 - len(fields), 5)


def test_two_examples_hold_together_what_none_holds_alone() -> None:
    assert published(without("carrier"), WHOLE | {"prices": {}}).problems == []


def test_a_field_of_another_event_or_of_nobody_is_not_held() -> None:
    [found] = coverage([WAREHOUSE], [pact(WHOLE, event="parcel.lost.v1")], {})

    assert (found.held, found.fields) == (0, 5)


def test_a_field_that_is_listed_with_a_reason_is_held() -> None:
    found = published(without("carrier"), carrier="for a reader to come")

    assert (found.held, found.problems) == (5, [])


def test_a_list_that_is_wrong_is_told() -> None:
    assert published(WHOLE, carrier="why").problems == ["carrier: is listed as unread, but a pact reads it"]
    assert published(WHOLE, colour="why").problems == ["colour: is listed as unread, but isn't published"]
    assert published(without("carrier"), carrier=" ").problems == ["carrier: is listed without a reason"]


def test_a_list_of_an_event_that_nobody_publishes_is_told() -> None:
    [*_, found] = coverage([WAREHOUSE], [pact(WHOLE)], {"parcel.lost.v1": {"parcel_id": "why"}})

    assert (found.title, found.problems) == ("parcel.lost.v1", ["is listed, but nobody publishes it"])


def test_a_reader_whose_fields_all_stand_in_its_pact_is_whole() -> None:
    assert (str(read(SEEN)), read(SEEN).problems) == (f"reception reads {PARCEL}: 4/4 fields", [])


@pytest.mark.parametrize(
    ("example", "field"),
    [
        ({"parcel_id": "1", "size": SEEN["size"]}, "carrier"),
        (SEEN | {"size": {"height": 1}}, "size.width"),
        (SEEN | {"size": {"height": 1, "width": None}}, "size.width"),
    ],
    ids=["optional", "nested", "nullable"],
)
def test_a_field_that_a_model_reads_and_no_pact_shows_is_told(example: Any, field: str) -> None:
    assert read(example).problems == [f"{field}: {NO_VALUE}"]


def test_a_model_that_holds_itself_has_an_end() -> None:
    schema = Crate.model_json_schema()

    assert leaves(schema, Document(schema)) == ["weight"]


class Charge(BaseModel):
    id: str
    status: str | None


def test_an_answer_is_held_by_one_body_that_has_all_its_fields() -> None:
    schema = Charge.model_json_schema()

    assert of_answer("a charge", schema, [{"id": "1"}, {"id": "1", "status": "paid"}]).problems == []
    assert of_answer("a charge", schema, [{"id": "1"}, {"status": "paid", "x": 1}]).held == 1
    assert of_answer("a charge", schema, []).problems == [f"id: {NO_VALUE}", f"status: {NO_VALUE}"]
