"""What the relay sends next, without Kafka and PostgreSQL."""

import asyncio
import json
import time
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownError,
    kafka_errors,
)
from hypothesis import given
from hypothesis import strategies as st
from outboxed._contact import KafkaContact
from outboxed.messages import OutgoingRecord
from outboxed.relay._flow import FIRST_PAUSE, LONGEST_PAUSE, WINDOW, Batch, Flow
from outboxed.relay._outcomes import UNNAMED_ATTEMPTS, Outcomes
from outboxed.relay._producer import BatchProducer
from outboxed.relay._refusals import Blame, blame
from outboxed.relay._row import Row, UnsendableRowError
from outboxed.settings import KafkaSettings

HERE, THERE = TopicPartition("accounts", 0), TopicPartition("accounts", 1)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def flow(clock: Clock) -> Flow:
    return Flow(clock)


def row(number: int, size: int = 100) -> Row:
    return Row(number, "accounts", f"key-{number}", b"", "{}", attempts=0, size=size)


def here(*rows: Row) -> Batch:
    return Batch(HERE, rows)


def first(flow: Flow, *rows: Row) -> list[int]:
    return [each.id for each in flow.batch(HERE, rows).rows]


def test_a_row_that_is_larger_than_the_window_goes_alone_and_is_not_overtaken(flow: Flow) -> None:
    large, small = row(2, WINDOW + 1), row(3)

    assert first(flow, large, small) == [2]
    assert first(flow, row(1), large, small) == [1]
    assert first(flow, row(1), small, large) == [1, 3]


def test_a_row_that_kafka_refuses_is_found_by_halves(flow: Flow) -> None:
    rows = [row(number) for number in range(64)]
    sent = []
    while rows[-1].id != 40 or len(rows) > 1:
        batch = flow.batch(HERE, rows)
        sent.append(len(batch.rows))
        if any(each.id == 40 for each in batch.rows):
            flow.refused(batch, CorruptRecordException())
            rows = list(batch.rows) if len(batch.rows) == 1 else rows
        else:
            flow.taken(batch)
            rows = rows[len(batch.rows) :]

    assert len(sent) < 16


def test_after_a_refusal_each_batch_that_is_taken_is_half_of_the_next_one(flow: Flow) -> None:
    rows = [row(number, 100) for number in range(64)]
    flow.refused(here(*rows[:8]), CorruptRecordException())  # of 800 bytes: the next one has half

    numbers = []
    for _ in range(4):
        batch = flow.batch(HERE, rows)
        flow.taken(batch)
        numbers.append(len(batch.rows))

    assert numbers == [4, 8, 16, 32]


def test_what_is_too_large_together_is_sent_in_smaller_batches_for_good(flow: Flow) -> None:
    rows = [row(number) for number in range(64)]
    limit, refusals, left = 1000, 0, list(rows)
    while left:
        batch = flow.batch(HERE, left)
        if batch.size > limit:
            flow.refused(batch, RecordListTooLargeError())
            refusals += 1
        else:
            flow.taken(batch)
            left = left[len(batch.rows) :]

    assert refusals <= 4
    assert not flow.is_too_large(row(99))


def test_rows_may_be_too_large_from_the_least_on_that_kafka_refused_of_any_topic(flow: Flow) -> None:
    assert not flow.may_be_too_large([row(1, 9000)])

    flow.refused(here(row(1, 5000)), MessageSizeTooLargeError())
    flow.refused(here(row(2, 9000)._replace(topic="moves")), MessageSizeTooLargeError())

    assert flow.may_be_too_large([row(3), row(4, 5000)])
    assert not flow.may_be_too_large([row(3), row(4, 4999)])
    assert not flow.may_be_too_large([])


def test_a_row_that_was_too_large_alone_marks_its_topic_until_kafka_takes_such_a_row(flow: Flow) -> None:
    flow.refused(here(row(1, 5000)), MessageSizeTooLargeError())

    assert flow.is_too_large(row(2, 5000))
    assert not flow.is_too_large(row(3, 4999))

    flow.taken(here(row(1, 5000)))
    assert not flow.is_too_large(row(2, 5000))


def test_a_topic_that_takes_larger_rows_again_gets_whole_batches_again(flow: Flow) -> None:
    """Somebody has raised its limit: a partition that no batch went to since begins with a whole one."""
    rows = [row(number, WINDOW // 16) for number in range(16)]
    flow.refused(here(*rows), RecordListTooLargeError())
    flow.refused(here(row(99, WINDOW // 4)), MessageSizeTooLargeError())
    while_small = len(flow.batch(THERE, rows).rows)

    flow.taken(here(row(99, WINDOW // 4)))

    assert (while_small, len(flow.batch(THERE, rows).rows)) == (8, 16)


def test_a_refused_row_of_another_reason_says_nothing_about_sizes(flow: Flow) -> None:
    flow.refused(here(row(1, 5000)), CorruptRecordException())

    assert not flow.is_too_large(row(2, 5000))


def test_a_topic_that_is_refused_waits_longer_each_time(flow: Flow, clock: Clock) -> None:
    assert flow.pause("accounts", growing=True)
    assert flow.paused_topics() == ["accounts"]
    assert not flow.is_open("accounts")
    clock.now += FIRST_PAUSE
    assert flow.is_open("accounts")

    for _ in range(20):
        assert not flow.pause("accounts", growing=True)
    clock.now += FIRST_PAUSE
    assert not flow.is_open("accounts")
    clock.now += LONGEST_PAUSE
    assert flow.is_open("accounts")
    assert flow.is_doubtful(here(row(1)))

    flow.taken(here(row(1)))
    assert not flow.has_pauses
    assert not flow.is_doubtful(here(row(1)))


def test_a_partition_without_a_leader_is_tried_again_at_the_same_pace(flow: Flow, clock: Clock) -> None:
    for _ in range(20):
        flow.pause(HERE, growing=False)

    assert not flow.is_open(HERE)
    assert flow.is_open(THERE)
    assert flow.paused_topics() == []
    clock.now += FIRST_PAUSE
    assert flow.is_open(HERE)


def test_a_pause_is_forgotten_once_nothing_was_tried_there_for_long(flow: Flow, clock: Clock) -> None:
    flow.pause(HERE, growing=False)
    clock.now += FIRST_PAUSE + LONGEST_PAUSE - 0.1
    assert flow.has_pauses

    clock.now += 0.2
    assert not flow.has_pauses


def test_a_partition_takes_others_only_after_the_moment_asked_about(flow: Flow, clock: Clock) -> None:
    clock.now = 5
    flow.taken(here(row(1)))

    assert flow.took_others(HERE, since=4)
    assert not flow.took_others(HERE, since=5)
    assert not flow.took_others(THERE, since=0)


@given(
    key=st.text(max_size=40),
    value=st.binary(max_size=40),
    headers=st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=5),
)
def test_a_row_becomes_the_record_that_was_appended(key: str, value: bytes, headers: dict[str, str]) -> None:
    appended = OutgoingRecord("accounts", key, value, headers).producer_record()

    sent = Row(1, "accounts", key, value, json.dumps(headers), attempts=0, size=0).wire_record()

    assert (sent.key, sent.value, sent.headers) == (appended.key, appended.value, appended.headers)


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ("[]", ("", b"[]")),
        ('"text"', ("", b'"text"')),
        ("9" * 5000, ("", b"9" * 5000)),
        ('{"a": 1}', ("a", b"1")),
        ('{"a": null}', ("a", b"null")),
        ('{"a": true}', ("a", b"true")),
        ('{"a": {}}', ("a", b"{}")),
    ],
)
def test_headers_that_are_no_texts_become_no_record_and_are_kept(headers: str, kept: tuple[str, bytes]) -> None:
    unsendable = Row(1, "accounts", "key", b"", headers, attempts=0, size=0)

    with pytest.raises(UnsendableRowError, match="no JSON object of texts"):
        unsendable.wire_record()
    assert unsendable.raw_headers() == [kept]


@given(
    sizes=st.lists(st.integers(40, 3 * WINDOW), max_size=30),
    answers=st.lists(st.sampled_from([None, MessageSizeTooLargeError(), CorruptRecordException()]), max_size=30),
)
def test_whatever_was_answered_a_batch_is_the_beginning_of_what_waits(
    sizes: list[int], answers: list[KafkaError | None]
) -> None:
    flow, rows = Flow(), [row(number, size) for number, size in enumerate(sizes)]
    for answer in answers:
        if not rows:
            break
        batch = flow.batch(HERE, rows)
        assert list(batch.rows) == rows[: len(batch.rows)]
        assert len(batch.rows) == 1 or batch.size <= WINDOW
        if answer is None:
            flow.taken(batch)
            rows = rows[len(batch.rows) :]
        else:
            flow.refused(batch, answer)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (MessageSizeTooLargeError(), Blame.ROW),
        (CorruptRecordException(), Blame.ROW),
        (UnsendableRowError("its headers are no texts"), Blame.ROW),
        (UnknownError(), Blame.UNNAMED),
        (TopicAuthorizationFailedError("accounts"), Blame.TOPIC),
        (NotLeaderForPartitionError(), Blame.KAFKA),
        (KafkaConnectionError(), Blame.KAFKA),
        (TimeoutError(), Blame.KAFKA),
        (KafkaError("unexpected error during batch delivery"), Blame.PRODUCER),
    ],
)
def test_an_error_is_blamed_on_what_it_is_about(error: BaseException, fault: Blame) -> None:
    assert blame(error) is fault


def test_of_all_codes_that_kafka_has_only_a_closed_list_is_blamed_on_a_row() -> None:
    codes = {code for code, error in kafka_errors.items() if code and blame(error()) is Blame.ROW}

    assert codes == {2, 10, 18, 32}


def test_an_error_that_is_not_of_kafka_is_not_taken_for_an_answer() -> None:
    with pytest.raises(TypeError, match="no error of Kafka"):
        blame(ValueError("a bug"))


async def test_a_row_that_is_set_aside_is_told_with_its_key_and_its_letter(flow: Flow, clock: Clock) -> None:
    async def set_aside(*_: object) -> int:
        return 7

    rows: Any = SimpleNamespace(set_aside=set_aside)
    outcomes = Outcomes(rows, flow, KafkaContact(), clock)

    with structlog.testing.capture_logs() as logs:
        await outcomes._set_aside(None, row(3), "too large")  # type: ignore[arg-type]  # noqa: SLF001 - needs no database

    [line] = [line for line in logs if line["event"] == "outbox_row_set_aside"]
    assert {name: line[name] for name in ("log_level", "row", "topic", "key", "dead_letter", "reason")} == {
        "log_level": "error",
        "row": 3,
        "topic": "accounts",
        "key": "key-3",
        "dead_letter": 7,
        "reason": "too large",
    }


class Kept:
    """The rows' table: what was held and what was set aside, by id."""

    def __init__(self) -> None:
        self.held: list[int] = []
        self.aside: list[int] = []

    async def hold(self, _: object, holds: Sequence[Any]) -> None:
        self.held += [hold.id for hold in holds]

    async def set_aside(self, _: object, row: Row, __: str) -> int:
        self.aside.append(row.id)
        return 7

    async def delete(self, *_: object) -> None: ...


async def test_a_row_that_comes_back_is_judged_by_what_its_partition_takes_from_then_on(
    flow: Flow, clock: Clock
) -> None:
    """While Kafka fails by itself no row is at fault, whatever was so before its replay."""
    rows: Any = Kept()
    outcomes = Outcomes(rows, flow, KafkaContact(), clock)
    refused = row(3)._replace(attempts=UNNAMED_ATTEMPTS)
    write = partial(outcomes.write, None)  # type: ignore[arg-type]  # no statement is executed

    await write([(here(refused), UnknownError())])
    clock.now += 1
    await write([(here(row(4)), None)])
    await write([(here(refused), UnknownError())])
    assert (rows.held, rows.aside) == ([3], [3])

    clock.now += 1
    await write([(here(refused), UnknownError())])
    clock.now += 1
    await write([(here(refused), UnknownError())])

    assert (rows.held, rows.aside) == ([3, 3, 3], [3])


async def test_records_have_the_time_at_which_they_are_sent_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka deletes by it: in seconds, all would be of January 1970."""
    times: list[int] = []
    sent = asyncio.get_running_loop().create_future()

    class Builder:
        def append(self, *, timestamp: int, **_: object) -> None:
            times.append(timestamp)

        def close(self) -> None: ...

    async def started() -> Any:
        async def send_batch(*_: object, **__: object) -> Any:
            return sent

        return SimpleNamespace(create_batch=Builder, send_batch=send_batch)

    producer = BatchProducer(KafkaSettings(("kafka:9092",)))
    monkeypatch.setattr(producer, "_started", started)
    before = time.time()
    await producer.send(here(row(1)._replace(value=b"{}")))

    assert before - 1 <= times[0] / 1000 <= time.time() + 1


@pytest.mark.parametrize(
    "option",
    [
        *("acks", "linger_ms", "max_batch_size", "request_timeout_ms"),
        *("enable_idempotence", "transactional_id", "transaction_timeout_ms"),
        *("key_serializer", "value_serializer", "partitioner", "loop"),
    ],
)
async def test_an_option_that_would_change_how_rows_are_sent_is_refused(option: str) -> None:
    kafka: Any = SimpleNamespace(client_options=lambda: {"bootstrap_servers": "kafka:9092", option: 1})

    with pytest.raises(TypeError, match=f"a relay doesn't take the option {option}"):
        await BatchProducer(kafka).check()
