"""What PostgreSQL can't hold is refused when an event is read."""

import json
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from outboxed.errors import UndecodableRecordError
from outboxed.messages import ConsumedData, ConsumedEvent, ConsumedTimestamp, attributes_of, decode
from outboxed.testing.records import event_record
from pydantic import BaseModel, ConfigDict, ValidationError

from ..sample import raw


class Part(ConsumedData):
    text: str = ""


class Foreign(BaseModel):
    text: str = ""


class Everything(ConsumedEvent, type="everything.v1", topic="all", key_field="id"):
    id: str
    text: str = ""
    part: Part = Part()
    foreign: Foreign = Foreign()
    parts: tuple[Part, ...] = ()
    count: int = 0
    ratio: float = 0
    number: Decimal = Decimal(0)
    at: ConsumedTimestamp | None = None
    local: datetime | None = None
    free: Any = None


class Open(ConsumedEvent, type="open.v1", topic="all", key_field="id"):
    model_config = ConfigDict(extra="allow")

    id: str


def read(data: str, model: type[ConsumedEvent] = Everything) -> Any:
    """As a consumer reads the data."""
    record = raw(event_record("all", model.type, {}, key="1"))
    whole = replace(record, value=f'{{"id": "1", {data}}}'.encode())
    return decode(whole, attributes_of(whole), model).event


NUL = r'"a\u0000b"'


# The consumer halted, and again after each restart, since the handler's column was the first to refuse these:
# aegra#369, hyperindex#446
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (f'"text": {NUL}', "text has a NUL"),
        (f'"part": {{"text": {NUL}}}', "part: text has a NUL"),
        (f'"foreign": {{"text": {NUL}}}', "foreign has a NUL"),
        (f'"parts": [{{}}, {{"text": {NUL}}}]', "parts.1: text has a NUL"),
        (f'"free": {NUL}', "free has a NUL"),
        (f'"free": [1, {{"deep": [{NUL}]}}]', "free has a NUL"),
        (f'"free": {{{NUL}: 1}}', "free has a NUL"),
        (f'"count": {2**63}', "count has an integer of more than 64 bits"),
        (f'"count": {-(2**63) - 1}', "count has an integer of more than 64 bits"),
        (f'"free": {{"n": {10**30}}}', "free has an integer of more than 64 bits"),
        ('"ratio": NaN', "the value is no JSON: NaN is no JSON"),
        ('"free": [-Infinity]', "the value is no JSON: -Infinity is no JSON"),
        ('"free": [1e999]', "free has a number that JSON doesn't know"),
        (f'"free": {"1" * 5000}', "free has more digits than a column can hold"),
        (rf'"free": "{chr(92)}ud800"', "free has a lone surrogate"),
        ('"number": "1e131072"', "number has more digits than a column can hold"),
        ('"number": "1e-16384"', "number has more digits than a column can hold"),
        ('"at": "0001-01-01T00:00:00+14:00"', "at has an instant that is outside the years 1 to 9999 in UTC"),
        ('"at": "0001-01-01T00:00:00Z"', "at has an instant that is outside the years 1 to 9999 in UTC"),
        ('"local": "9999-12-31T23:59:59-01:00"', "local has an instant that is outside the years 1 to 9999 in UTC"),
    ],
)
def test_what_no_column_can_hold_makes_an_event_undecodable(data: str, reason: str) -> None:
    with pytest.raises(UndecodableRecordError) as refused:
        read(data)

    assert str(refused.value).removeprefix("everything.v1: ").removeprefix("the value: ") == reason


@pytest.mark.parametrize("number", [Decimal("NaN"), Decimal("-Infinity")])
def test_a_decimal_that_is_no_number_is_refused(number: Decimal) -> None:
    class Loose(ConsumedData):
        free: Any

    with pytest.raises(ValidationError, match="free has a number that JSON doesn't know"):
        Loose(free=[number])


def test_text_with_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(ValidationError, match="text has a lone surrogate"):
        Part(text="\ud800")


def test_a_field_that_a_model_takes_undeclared_is_refused_without_its_name() -> None:
    with pytest.raises(UndecodableRecordError, match="an undeclared field has a NUL"):
        read(f'"secret": {NUL}', Open)


def test_a_field_that_nobody_reads_may_hold_anything() -> None:
    assert read(f'"unread": {NUL}, "text": "read"').text == "read"


@pytest.mark.parametrize(
    "data",
    [
        {"text": "\x01\x7f\u2028\U0001f600"},
        {"count": 2**63 - 1},
        {"count": -(2**63)},
        {"number": "1e131071"},
        {"number": "1e-16383"},
        {"at": "0001-01-01T00:00:00.000001Z"},
        {"at": "9998-12-31T23:59:59.999999Z"},
        {"local": "0001-01-01T00:00:00.000001"},
        {"free": {"all": [None, True, 1.5, "text", {}]}},
    ],
)
def test_the_last_value_that_a_column_can_hold_is_read(data: dict[str, Any]) -> None:
    assert read(json.dumps(data)[1:-1])
