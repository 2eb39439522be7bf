"""A batch is one transaction: what fails for now, what fails for good, and what comes twice."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import structlog
from outboxed._last_minute import MAX_REFUSALS, REFUSAL_WINDOW, LastMinute
from outboxed.consuming import BatchConsumer, Route
from outboxed.errors import ConsumerHaltedError
from outboxed.messages import EventIdentity
from outboxed.telemetry import Exemplar
from outboxed.testing.memory import InMemoryDatabase
from outboxed.testing.records import consumer_record, event_record
from outboxed.web import Health

from ..sample import (
    Account,
    InMemoryAccounts,
    MoneyMoved,
    UnspeakableError,
    credit,
    in_memory_accounts,
    moved,
    raw,
)

Database = InMemoryDatabase[InMemoryAccounts]
Consuming = Callable[..., BatchConsumer[Any]]


@dataclass
class Counts:
    ignored: list[str] = field(default_factory=list)
    handled: list[tuple[str, float | None]] = field(default_factory=list)
    dead_lettered: list[str] = field(default_factory=list)
    batches_failed: list[bool] = field(default_factory=list)

    def event_ignored(self, topic: str) -> None:
        self.ignored.append(topic)

    def event_handled(self, event_type: str, age: float | None, exemplar: Exemplar) -> None:
        del exemplar
        self.handled.append((event_type, age))

    def event_dead_lettered(self, topic: str) -> None:
        self.dead_lettered.append(topic)

    def batch_ended(self, seconds: float, *, failed: bool) -> None:
        assert seconds >= 0
        self.batches_failed.append(failed)


@dataclass
class Seconds:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database() -> Database:
    return in_memory_accounts()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def consumer_of(database: Any, counts: Counts, seconds: Seconds, handle: Any = credit) -> BatchConsumer[Any]:
    return BatchConsumer("bank", [Route(MoneyMoved, handle)], database, counts, seconds)


@pytest.fixture
def consuming(database: Database, counts: Counts, seconds: Seconds) -> Consuming:
    """Makes a consumer with the given handler."""
    return partial(consumer_of, database, counts, seconds)


@pytest.fixture
def consumer(consuming: Consuming) -> BatchConsumer[Any]:
    return consuming()


async def handle(consumer: BatchConsumer[Any], *records: Any) -> None:
    await consumer.handle([raw(record) for record in records])


def balances(database: Database) -> list[int]:
    accounts: list[Account] = list(database.state.table("accounts").values())
    return [int(account.balance) for account in accounts]


def unlucky(**parts: Any) -> Any:
    return moved(amount="13.00", **parts)


async def test_inbox_state_and_outbox_of_a_batch_are_committed_together(
    database: Database, consumer: BatchConsumer[Any]
) -> None:
    await handle(consumer, moved(amount="1.00"), moved(amount="2.00"))

    assert balances(database) == [1, 2]
    assert len(database.state.inbox) == len(database.state.outbox) == 2


async def test_events_of_one_key_are_handled_in_order(database: Database, consumer: BatchConsumer[Any]) -> None:
    account_id = uuid4()

    await handle(consumer, *(moved(account_id, f"{number}.00") for number in (1, 2, 3)))

    [account] = database.state.table("accounts").values()
    assert (account.balance, account.version) == (6, 4)
    assert [record.headers["ce_sequence"] for record in database.state.outbox.values()] == ["2", "3", "4"]


@pytest.mark.parametrize("batches", [1, 2])
async def test_an_event_that_comes_twice_is_handled_once(
    database: Database, consumer: BatchConsumer[Any], batches: int
) -> None:
    event = moved()

    for batch in [[event, event]] if batches == 1 else [[event], [event]]:
        await handle(consumer, *batch)

    assert balances(database) == [1]


async def test_a_transient_error_leaves_and_nothing_has_happened(database: Database, consuming: Consuming) -> None:
    async def cut(event: MoneyMoved, uow: Any) -> None:
        await credit(event, uow)
        raise ConnectionResetError

    consumer = consuming(cut)

    with pytest.raises(ConnectionResetError):
        await handle(consumer, consumer_record("moves", None), moved())

    assert not any([balances(database), database.state.inbox, database.state.outbox, database.state.dead_letters])


async def test_after_a_transient_error_the_same_batch_is_handled(database: Database, consuming: Consuming) -> None:
    errors = [TimeoutError()]

    async def flaky(event: MoneyMoved, uow: Any) -> None:
        await credit(event, uow)
        if errors:
            raise errors.pop()

    consumer = consuming(flaky)
    batch = [moved(), moved()]
    with pytest.raises(TimeoutError):
        await handle(consumer, *batch)

    await handle(consumer, *batch)

    assert balances(database) == [1, 1]


async def test_a_permanent_error_is_pinned_on_one_event_and_its_neighbours_are_handled(
    database: Database, consumer: BatchConsumer[Any]
) -> None:
    bad = unlucky(event_id="bad", offset=7)

    await handle(consumer, moved(amount="1.00"), bad, moved(amount="2.00"))

    [letter] = database.state.dead_letters.values()
    assert (letter.group, letter.record) == ("bank", raw(bad))
    assert letter.reason.startswith("RuntimeError: unlucky (sample.py:")
    assert balances(database) == [1, 2]
    assert EventIdentity("/test", "bad") not in database.state.inbox


# cloudevents/spec#391: a refund was dropped without a trace
@pytest.mark.parametrize("batches", [1, 2])
async def test_events_of_two_sources_under_one_id_are_both_handled_and_each_once(
    database: Database, consumer: BatchConsumer[Any], batches: int
) -> None:
    first, second = (moved(event_id="1", source=source) for source in ("/here", "/there"))

    for batch in [[first, second, first]] if batches == 1 else [[first], [second, first]]:
        await handle(consumer, *batch)

    assert balances(database) == [1, 1]
    assert set(database.state.inbox) == {EventIdentity("/here", "1"), EventIdentity("/there", "1")}


# streamnative/kop#530, librdkafka#1582: the second was taken for the first, and its offset was committed
@pytest.mark.parametrize("amount", ["none", "13.00"], ids=["undecodable", "refused"])
async def test_poison_at_the_position_of_another_poison_is_a_dead_letter_of_its_own(
    database: Database, consumer: BatchConsumer[Any], amount: str
) -> None:
    before, after_the_topic_was_made_again = moved(amount=amount, offset=7), moved(amount=amount, offset=7)

    for record in (before, after_the_topic_was_made_again, after_the_topic_was_made_again):
        await handle(consumer, record)

    letters = [letter.record for letter in database.state.dead_letters.values()]
    assert letters == [raw(before), raw(after_the_topic_was_made_again)]


async def test_later_events_of_a_refused_ones_key_go_on(database: Database, consumer: BatchConsumer[Any]) -> None:
    account_id = uuid4()

    await handle(consumer, moved(account_id, "1.00"), moved(account_id, "13.00"), moved(account_id, "2.00"))

    assert balances(database) == [3]


async def test_a_refused_event_leaves_nothing_but_its_dead_letter(database: Database, consuming: Consuming) -> None:
    async def half_way(event: MoneyMoved, uow: Any) -> None:
        await credit(event, uow)
        raise ValueError("a bug at the end")

    await handle(consuming(half_way), moved())

    assert len(database.state.dead_letters) == 1
    assert not any([balances(database), database.state.inbox, database.state.outbox])


async def test_an_event_whose_error_cannot_even_be_told_is_a_dead_letter(
    database: Database, consuming: Consuming
) -> None:
    """Else its batch would come again for ever, and nothing behind it would be handled."""

    async def refuse(event: MoneyMoved, uow: Any) -> None:
        if event.amount == 13:
            raise UnspeakableError
        await credit(event, uow)

    await handle(consuming(refuse), unlucky(), moved(amount="1.00"))

    [letter] = database.state.dead_letters.values()
    assert letter.reason.startswith("UnspeakableError: its text can't be read: AttributeError (test_consumer.py:")
    assert balances(database) == [1]


async def test_an_undecodable_record_is_a_dead_letter_though_its_neighbour_is_refused_too(
    database: Database, consumer: BatchConsumer[Any]
) -> None:
    await handle(consumer, consumer_record("moves", None, offset=1), unlucky(offset=2), moved())

    assert [letter.record.offset for letter in database.state.dead_letters.values()] == [1, 2]
    assert balances(database) == [1]


async def test_a_dead_letter_that_is_replayed_is_handled(database: Database, consumer: BatchConsumer[Any]) -> None:
    account_id = uuid4()
    await handle(consumer, moved(account_id, "13.00", event_id="bad"))
    [letter] = database.state.dead_letters.values()
    repaired = raw(moved(account_id, "5.00", event_id="bad", offset=letter.record.offset))

    async with database() as uow:
        await consumer.replay(repaired, uow)

    assert balances(database) == [5]
    assert EventIdentity("/test", "bad") in database.state.inbox


async def test_a_replay_of_what_was_handled_meanwhile_changes_nothing(
    database: Database, consumer: BatchConsumer[Any]
) -> None:
    event = moved()
    await handle(consumer, event)

    async with database() as uow:
        await consumer.replay(raw(event), uow)

    assert balances(database) == [1]


async def test_other_types_and_other_topics_types_are_counted_and_ignored(
    database: Database, consumer: BatchConsumer[Any], counts: Counts
) -> None:
    event = moved()
    elsewhere = consumer_record("accounts", event.value, key=event.key, headers=event.headers)

    await handle(consumer, event_record("moves", "money.lost.v1", {}, key="1"), elsewhere)

    assert counts.ignored == ["moves", "accounts"]
    assert not any([balances(database), database.state.inbox, database.state.dead_letters])


async def test_a_record_whose_reading_fails_in_a_way_that_nobody_foresaw_is_undecodable(
    database: Database, consumer: BatchConsumer[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise RecursionError("too deep")

    odd, neighbour = moved(amount="1.00"), moved(amount="2.00")
    monkeypatch.setattr(MoneyMoved, "model_validate_json", explode)
    await handle(consumer, odd)
    monkeypatch.undo()
    await handle(consumer, neighbour)

    [letter] = database.state.dead_letters.values()
    assert letter.record == raw(odd)
    assert letter.reason.startswith("RecursionError: too deep")
    assert balances(database) == [2]


async def test_twenty_refusals_within_a_minute_halt_the_consumer_and_make_it_unready(
    database: Database, consumer: BatchConsumer[Any]
) -> None:
    with pytest.raises(ConsumerHaltedError):
        await handle(consumer, *(unlucky() for _ in range(MAX_REFUSALS)))

    health = Health(schema_problem=_no_problem, progress=consumer.progress, lag=lambda: 1)
    assert not (await health.ready()).ok
    assert health.live().ok
    with pytest.raises(ConsumerHaltedError):
        await handle(consumer, moved())
    assert len(database.state.dead_letters) == MAX_REFUSALS
    assert not balances(database)


async def _no_problem() -> None:
    return None


async def test_refusals_more_than_a_minute_apart_do_not_halt_it(
    database: Database, consumer: BatchConsumer[Any], seconds: Seconds
) -> None:
    await handle(consumer, *(unlucky() for _ in range(MAX_REFUSALS - 1)))
    seconds.now += REFUSAL_WINDOW + 0.1

    await handle(consumer, *(unlucky() for _ in range(MAX_REFUSALS - 1)))

    assert len(database.state.dead_letters) == 2 * (MAX_REFUSALS - 1)


async def test_undecodable_records_do_not_halt_it(database: Database, consumer: BatchConsumer[Any]) -> None:
    await handle(consumer, *(consumer_record("moves", b"{") for _ in range(5 * MAX_REFUSALS)))

    assert len(database.state.dead_letters) == 5 * MAX_REFUSALS
    assert consumer.progress.halted is None


async def test_an_event_that_is_refused_again_after_an_outage_counts_once(consuming: Consuming) -> None:
    async def outage(event: MoneyMoved, uow: Any) -> None:
        if event.amount == 99:
            raise TimeoutError
        await credit(event, uow)

    consumer = consuming(outage)
    batch = [unlucky(), moved(amount="99.00")]

    for _ in range(MAX_REFUSALS):
        with pytest.raises(TimeoutError):
            await handle(consumer, *batch)

    assert consumer.progress.halted is None


async def test_progress_knows_since_when_only_errors_came_until_a_batch_is_handled(consuming: Consuming) -> None:
    errors: list[Exception] = [TimeoutError(), asyncpg.UndefinedColumnError("a secret"), TimeoutError()]

    async def flaky(event: MoneyMoved, uow: Any) -> None:
        await credit(event, uow)
        if errors:
            raise errors.pop(0)

    consumer, seen = consuming(flaky), []
    for _ in range(2):
        with pytest.raises((TimeoutError, asyncpg.UndefinedColumnError)):
            await handle(consumer, moved())
        seen.append((consumer.progress.failing_since, consumer.progress.failure))
    assert consumer.progress.failing_seconds > 0
    with pytest.raises(TimeoutError):
        await handle(consumer, moved())
    await handle(consumer, moved())

    [(since, first), (still_since, second)] = seen
    assert since == still_since is not None
    assert (first, second) == ("TimeoutError", "UndefinedColumnError")
    assert (consumer.progress.failing_since, consumer.progress.failing_seconds) == (None, 0.0)


async def test_progress_counts_failed_attempts_and_what_is_in_hand(counts: Counts) -> None:
    seen = []

    @asynccontextmanager
    async def failing() -> AsyncIterator[Any]:
        seen.append(failed.progress.in_progress)
        raise OSError
        yield

    failed = consumer_of(failing, counts, Seconds())
    failed.progress.last_attempt = 0.0

    with pytest.raises(OSError):  # noqa: PT011 - just this one, without a text
        await handle(failed, moved(), moved())

    assert seen == [2]
    assert failed.progress.in_progress == 0
    assert failed.progress.last_attempt > 0


async def test_the_aggregates_of_the_new_events_are_locked_and_no_others(
    consumer: BatchConsumer[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    locked: list[str] = []

    async def lock(_: InMemoryAccounts, keys: Sequence[str]) -> None:
        locked.extend(keys)

    monkeypatch.setattr(InMemoryAccounts, "lock", lock)
    known, new = uuid4(), uuid4()
    await handle(consumer, moved(known, event_id="1"))
    locked.clear()

    await handle(consumer, moved(known, event_id="1"), moved(new, event_id="2"))

    assert locked == [str(new)]


async def test_refusals_count_for_a_whole_minute(consumer: BatchConsumer[Any], seconds: Seconds) -> None:
    for _ in range(MAX_REFUSALS - 1):
        await handle(consumer, unlucky())
    seconds.now = REFUSAL_WINDOW

    with pytest.raises(ConsumerHaltedError, match=r"20 of 20 events of money\.moved\.v1 were refused"):
        await handle(consumer, unlucky())


async def test_twenty_refusals_among_many_events_do_not_halt_it(consumer: BatchConsumer[Any]) -> None:
    for _ in range(9):
        await handle(consumer, *(moved() for _ in range(MAX_REFUSALS)))
    await handle(consumer, moved(), *(unlucky() for _ in range(MAX_REFUSALS)))

    assert consumer.progress.halted is None
    with pytest.raises(ConsumerHaltedError, match="21 of 202 events"):
        await handle(consumer, unlucky())


async def test_the_share_is_that_of_one_type_and_of_the_last_minute(
    database: Database, counts: Counts, seconds: Seconds
) -> None:
    class MoneyCounted(MoneyMoved, type="money.counted.v1"):
        """Its handler has no fault."""

    routes = [Route(MoneyMoved, credit), Route(MoneyCounted, credit)]
    consumer = BatchConsumer("bank", routes, database, counts, seconds)
    await handle(consumer, *(moved() for _ in range(500)))
    seconds.now += REFUSAL_WINDOW + 0.1
    others = [moved(event_type=MoneyCounted.type) for _ in range(500)]

    with pytest.raises(ConsumerHaltedError, match=r"20 of 20 events of money\.moved\.v1"):
        await handle(consumer, *others, *(unlucky() for _ in range(MAX_REFUSALS)))

    assert len(balances(database)) == 1000


# hyperindex#446: no restart led out, since each read the same events again
async def test_a_consumer_that_is_started_again_goes_on_after_what_halted_it(
    database: Database, consuming: Consuming
) -> None:
    batches = [[unlucky() for _ in range(MAX_REFUSALS)], [unlucky() for _ in range(MAX_REFUSALS)], [moved()]]
    unread, starts = list(batches), 0

    while unread:
        consumer, starts = consuming(), starts + 1
        try:
            while unread:
                await handle(consumer, *unread[0])
                unread.pop(0)
        except ConsumerHaltedError:
            assert starts <= len(batches)

    assert (starts, len(database.state.dead_letters), balances(database)) == (3, 2 * MAX_REFUSALS, [1])


async def test_a_mended_deploy_handles_what_halted_the_bad_one(database: Database, consuming: Consuming) -> None:
    async def mended(event: MoneyMoved, uow: Any) -> None:
        await credit(event.model_copy(update={"amount": 1}), uow)

    batch = [unlucky() for _ in range(MAX_REFUSALS)]
    with pytest.raises(ConsumerHaltedError):
        await handle(consuming(), *batch)

    await handle(consuming(mended), *batch)

    assert balances(database) == [1] * MAX_REFUSALS


async def test_a_dead_letters_line_says_where_the_record_is(consumer: BatchConsumer[Any]) -> None:
    with structlog.testing.capture_logs() as logs:
        await handle(consumer, unlucky(offset=7), consumer_record("moves", None, offset=8))

    told = {line["offset"]: line for line in logs if line["event"] == "event_dead_lettered"}
    assert {(line["topic"], line["partition"]) for line in told.values()} == {("moves", 0)}
    assert sorted(told) == [7, 8]


def test_what_was_handled_is_not_kept_for_longer_than_it_counts(seconds: Seconds) -> None:
    """Between refusals nobody asks, and a consumer handles millions."""
    minute = LastMinute(seconds)

    for second in range(0, 3600, 10):
        seconds.now = second
        minute.handled(["parcel.shipped.v1"])

    assert len(minute) <= REFUSAL_WINDOW / 10 + 1


async def test_each_event_that_is_handled_by_itself_is_an_attempt(consuming: Consuming) -> None:
    """A slow batch of a bad deploy would else be a stall, and the process would be restarted in the middle of it."""
    attempts: list[float] = []

    async def note(event: MoneyMoved, uow: InMemoryAccounts) -> None:
        attempts.append(noting.progress.last_attempt)
        await credit(event, uow)

    noting = consuming(note)
    await handle(noting, moved(amount="1.00"), unlucky(), moved(amount="2.00"), moved(amount="3.00"))

    one_by_one = attempts[-4:]
    assert sorted(set(one_by_one)) == one_by_one
