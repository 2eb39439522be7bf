"""What a project may publish and schedule; what no row can hold is refused before the session hears of it."""

import dataclasses
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from outboxed import Outbox, Tasks
from outboxed.errors import EventTooLargeError
from outboxed.joining._events import Address, address_of, record_of
from outboxed.messages import MAX_KEY_BYTES
from outboxed.tasks import Task
from sqlalchemy.orm import Session


class Kept:
    """A transaction that keeps what is executed, on a connection that has one."""

    connection = SimpleNamespace(dbapi_connection=SimpleNamespace(autocommit=False))

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def execute(self, _: Any, params: Any) -> Any:
        """Keep the parameters; one row is written."""
        self.rows.append(params)
        return SimpleNamespace(returns_rows=True, all=lambda: [(1,)])


@dataclasses.dataclass(frozen=True)
class Measured:
    value: float


@pytest.fixture
def session() -> Any:
    return Kept()


@pytest.fixture
def tasks() -> Tasks:
    tasks = Tasks()

    @tasks.deadline("expire")
    def expire(_: Task, session: Session) -> None:
        """Nobody does it."""

    return tasks


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"headers": {"x": 7}}, TypeError, "header 'x' is int"),
        ({"headers": {"x": None}}, TypeError, "header 'x' is NoneType"),
        ({"headers": {"x": b"raw"}}, TypeError, "header 'x' is bytes"),
        ({"headers": {7: "x"}}, TypeError, "header 7"),
        ({"headers": {"x": "a\0b"}}, ValueError, "value of the header 'x' has a NUL"),
        ({"headers": {"a\0b": "x"}}, ValueError, "has a NUL"),
        ({"headers": {"x": "\ud800"}}, ValueError, "a lone surrogate"),
        ({"key": "a\0b"}, ValueError, "key has a NUL"),
        ({"key": "\ud800"}, ValueError, "key has a lone surrogate"),
        ({"topic": "a\0b"}, ValueError, "topic has a NUL"),
        ({"topic": "x" * 250}, ValueError, "topic has 250 characters"),
        ({"type": "a\0b"}, ValueError, "ce_type"),
        ({"id": "a\0b"}, ValueError, "ce_id"),
        ({"key": "x" * (MAX_KEY_BYTES + 1)}, EventTooLargeError, "key of 2049 bytes, the limit is 2048"),
        ({"key": "ü" * (MAX_KEY_BYTES // 2 + 1)}, EventTooLargeError, "key of 2050 bytes"),
        ({"event": {"value": float("nan")}}, ValueError, "NaN, which JSON doesn't know"),
        ({"event": Measured(float("-inf"))}, ValueError, "-Infinity, which JSON doesn't know"),
    ],
)
def test_what_cannot_be_a_record_is_refused_and_the_transaction_hears_nothing(
    session: Any, given: dict[str, Any], error: type[Exception], says: str
) -> None:
    outbox = Outbox(source="/shop", topic="orders")

    with pytest.raises(error, match=says):
        outbox.publish_sync(session, **{"event": {"a": 1}, "key": "7", **given})

    assert session.rows == []


@pytest.mark.parametrize(
    "given",
    [
        {"key": "x" * MAX_KEY_BYTES},
        {"key": ""},
        {"topic": "x" * 249},
        {"event": {"text": "NaN and Infinity"}},
        {"headers": {"ä": "ü", "": ""}},
    ],
)
def test_what_looks_odd_and_can_be_a_record_is_taken(session: Any, given: dict[str, Any]) -> None:
    Outbox(source="/shop", topic="orders").publish_sync(session, **{"event": {"a": 1}, "key": "7", **given})

    assert len(session.rows) == 1


def test_an_id_may_be_a_uuid(session: Any) -> None:
    published = Outbox(source="/shop", topic="orders").publish_sync(session, {"a": 1}, id=UUID(int=7))

    assert published == str(UUID(int=7)) == session.rows[0]["new_headers"][0]["ce_id"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"key": "a\0b"}, "key has a NUL"),
        ({"key": "\ud800"}, "key has a lone surrogate"),
        ({"key": "ü" * (MAX_KEY_BYTES // 2 + 1)}, "key has 2050 bytes, the limit is 2048"),
        ({"group": "a\0b"}, "group has a NUL"),
        ({"group": "x" * (MAX_KEY_BYTES + 1)}, "group has 2049 bytes"),
        ({"payload": {"a": "a\0b"}}, "payload has a NUL"),
        ({"payload": {"a\0b": 1}}, "payload has a NUL"),
        ({"payload": {"a": [{"b": "\ud800"}]}}, "payload has a lone surrogate"),
        ({"payload": {"a": float("nan")}}, "payload has a number that JSON doesn't know"),
    ],
)
def test_what_cannot_be_a_task_is_refused_and_the_transaction_hears_nothing(
    session: Any, tasks: Tasks, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        tasks.schedule_sync(session, "expire", **{"key": "7", **given})

    assert session.rows == []


def test_a_payload_may_have_any_integer(session: Any, tasks: Tasks) -> None:
    tasks.schedule_sync(session, "expire", key=7, payload={"a": [2**70, None, True, 1.5, "ä"]})

    assert session.rows[0]["new_payload"] == [{"a": [2**70, None, True, 1.5, "ä"]}]


@pytest.mark.parametrize(("key", "expected"), [(0, "0"), ("", ""), (False, "False"), (None, "an-id")])
def test_whatever_the_key_is_it_is_the_key(key: object, expected: str) -> None:
    record = record_of({"a": 1}, Address(topic="orders"), source=None, event_id="an-id", key=key)

    assert record.key == expected


@pytest.mark.parametrize("value", [0, "", False])
def test_a_field_of_whatever_value_is_a_key(value: object) -> None:
    address = Address(topic="orders", key="customer")

    assert record_of({"customer": value}, address, source=None, event_id="an-id").key == str(value)
    with pytest.raises(ValueError, match="has no customer"):
        record_of({"customer": None}, address, source=None, event_id="an-id")


def test_an_events_time_is_that_of_now_wherever_its_host_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "JST-9")  # which needs no file of zones
    time.tzset()
    try:
        before = datetime.now(UTC)
        record = record_of({"a": 1}, Address(topic="orders"), source="/shop", event_id="an-id")
        after = datetime.now(UTC)
    finally:
        monkeypatch.undo()
        time.tzset()

    told = datetime.fromisoformat(record.headers["ce_time"])
    assert before <= told + timedelta(milliseconds=1)
    assert told <= after


def test_a_header_of_the_callers_own_takes_the_place_of_ours() -> None:
    own = {"content-type": "application/vnd.shop+json", "ce_type": "theirs"}

    record = record_of({}, Address("ours", "accounts"), source="/shop", event_id="1", headers=own)

    assert {name: record.headers[name] for name in own} == own
    assert record.headers["ce_id"] == "1"


def test_what_is_said_of_a_class_is_said_of_its_subclasses_unless_they_have_their_own() -> None:
    class Base: ...

    class Near(Base): ...

    class Far(Near): ...

    base, near = Address("base"), Address("near")

    assert address_of(Far(), {Base: base}) == base
    assert address_of(Far(), {Base: base, Near: near}) == near
    assert address_of(Base(), {Near: near}) == Address()
