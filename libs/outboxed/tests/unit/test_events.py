"""Money and time as they go over the wire and come from it."""

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from outboxed.messages import ConsumedEvent, ConsumedTimestamp, rfc3339
from pydantic import ValidationError

from ..sample import NOW, AccountCredited, MoneyMoved


class Seen(ConsumedEvent, type="seen.v1", topic="seen", key_field="id"):
    id: UUID
    at: ConsumedTimestamp


def on_the_wire(**fields: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(AccountCredited(account_id=uuid4(), **fields).model_dump_json())
    return data


def test_an_event_inherits_what_it_does_not_say_of_its_address() -> None:
    class SeenAgain(Seen, type="seen.v2"):
        """Another version at the same place."""

    class SeenElsewhere(Seen, topic="elsewhere", key_field="at"):
        """The same version at another place."""

    assert (SeenAgain.type, SeenAgain.topic, SeenAgain.key_field) == ("seen.v2", "seen", "id")
    assert (SeenElsewhere.type, SeenElsewhere.topic, SeenElsewhere.key_field) == ("seen.v1", "elsewhere", "at")


@pytest.mark.parametrize(("amount", "wire"), [("1", "1.00"), ("0.1", "0.10"), ("1E+2", "100.00"), ("-3.5", "-3.50")])
def test_money_is_sent_as_a_string_with_two_decimals(amount: str, wire: str) -> None:
    assert on_the_wire(amount=Decimal(amount))["amount"] == wire


@pytest.mark.parametrize(
    ("at", "wire"),
    [
        (NOW, "2026-01-15T12:00:00.000000Z"),
        (datetime(2026, 1, 15, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2))), "2026-01-15T10:00:00.000005Z"),
    ],
)
def test_a_time_is_sent_in_utc_with_z(at: datetime, wire: str) -> None:
    assert on_the_wire(at=at)["at"] == rfc3339(at) == wire


def test_a_time_without_a_zone_cannot_be_sent() -> None:
    with pytest.raises(ValidationError):
        on_the_wire(at=datetime(2026, 1, 15, 12))  # noqa: DTZ001 - that is the point


def test_an_event_has_no_field_that_nobody_declared() -> None:
    with pytest.raises(ValidationError):
        on_the_wire(ammount=1)


@pytest.mark.parametrize("amount", ["0.00", "1.50", "-1.00", "99999999999999999.99"])
def test_money_is_read_from_a_string_with_two_decimals(amount: str) -> None:
    assert MoneyMoved(account_id=uuid4(), amount=amount).amount == Decimal(amount)


@pytest.mark.parametrize(
    "amount",
    [
        1,
        1.5,
        "1",
        "1.5",
        "1.001",
        "NaN",
        "Infinity",
        "1,50",
        "",
        None,
        "9" * 30,
        "1e2",
        " 1.00",
        "+1",
        "\u0661.00",
        "1.00\n",
    ],
)
def test_money_in_any_other_form_is_refused(amount: Any) -> None:
    with pytest.raises(ValidationError):
        MoneyMoved(account_id=uuid4(), amount=amount)


@pytest.mark.parametrize("amount", ["\u0661.00", "1.00\n"])
def test_money_has_ascii_digits_and_nothing_after_them(amount: str) -> None:
    with pytest.raises(ValidationError):
        MoneyMoved(account_id=uuid4(), amount=amount)


def test_a_time_is_read_with_its_zone() -> None:
    seen = Seen.model_validate_json(json.dumps({"id": str(uuid4()), "at": "2026-01-15T13:00:00+01:00"}))

    assert seen.at.astimezone(UTC) == NOW


@pytest.mark.parametrize(
    "at",
    [
        "2026-01-15T12:00:00",
        "2026-01-15 12:00:00Z",
        "2026-13-15T12:00:00Z",
        "1768478400",
        1768478400,
        "yesterday",
        None,
    ],
)
def test_a_time_in_any_other_form_is_refused(at: Any) -> None:
    with pytest.raises(ValidationError):
        Seen.model_validate_json(json.dumps({"id": str(uuid4()), "at": at}))


def test_an_events_key_is_the_field_that_it_names(account_id: UUID) -> None:
    assert AccountCredited(account_id=account_id).key == str(account_id)


def test_a_time_is_sent_in_utc_wherever_the_host_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert rfc3339(NOW) == "2026-01-15T12:00:00.000000Z"
    finally:
        monkeypatch.undo()
        time.tzset()
