"""Tasks: claimed, called, recorded; and what happens when the call, the lease or the worker ends early."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import anyio
import asyncpg
import pytest
import structlog
from backing_services.waiting import eventually
from outboxed.errors import TransientError
from outboxed.ports import NewTask
from outboxed.storage import POOL_SECONDS, Clock
from outboxed.tasks import LeaseLostError, Task, TaskKind, Worker
from outboxed.tasks._recording import Recording
from outboxed.tasks._worker import MAX_GRACE
from outboxed.telemetry import continued_trace
from outboxed.testing.memory import InMemoryDatabase, InMemoryTaskQueue
from outboxed.testing.tracking.spans import recorded

from ..sample import Account, InMemoryAccounts, in_memory_accounts

Database = InMemoryDatabase[InMemoryAccounts]
MakeWorker = Callable[..., Worker[Any]]


@dataclass
class Outside:
    """The outside world: answers, fails with `error`, or keeps its callers waiting while `open` is not set."""

    calls: list[str] = field(default_factory=list)
    error: Exception | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    during: Callable[[], None] = lambda: None
    under_way: int = 0
    most: int = 0

    async def call(self, task: Task) -> str:
        self.calls.append(task.key)
        self.during()
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.open.wait()
        finally:
            self.under_way -= 1
        if self.error is not None:
            raise self.error
        return f"done {task.key}"


@dataclass
class Records:
    outcomes: list[str] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)

    async def record(self, _: Task, outcome: str, __: Any) -> None:
        self.outcomes.append(outcome)

    async def abandon(self, task: Task, _: Any) -> None:
        self.abandoned.append(task.key)


@pytest.fixture
def database(clock: Clock) -> Database:
    return in_memory_accounts(clock)


@pytest.fixture
def outside() -> Outside:
    outside = Outside()
    outside.open.set()
    return outside


@pytest.fixture
def records() -> Records:
    return Records()


@dataclass
class Counts:
    """What a worker tells its metrics."""

    attempts: list[tuple[str, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def task_attempted(self, kind: str, outcome: str, seconds: float, due_for: float) -> None:
        self.attempts.append((kind, outcome))
        self.seconds += [seconds, due_for]


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def make(database: Database, outside: Outside, records: Records, counts: Counts) -> MakeWorker:
    def worker(*others: TaskKind[Any], **changes: Any) -> Worker[Any]:
        kind = TaskKind("call", **{"call": outside.call, "record": records.record, **changes})
        return Worker([kind, *others], InMemoryTaskQueue(database), database, database.tasks_scheduled, counts)

    return worker


async def schedule(database: Database, *keys: str, kind: str = "call") -> None:
    async with database() as uow:
        for key in keys:
            uow.tasks.schedule(NewTask(kind, key))


def stored(database: Database, key: str = "1") -> Any:
    return database.state.tasks["call", key]


async def test_a_task_is_called_recorded_and_gone(
    database: Database, make: MakeWorker, outside: Outside, records: Records
) -> None:
    await schedule(database, "1")

    assert await make().run_due() == 1

    assert (outside.calls, records.outcomes) == (["1"], ["done 1"])
    assert not database.state.tasks


async def test_a_call_holds_no_transaction(database: Database, make: MakeWorker, outside: Outside) -> None:
    async def during(task: Task) -> str:
        async with asyncio.timeout(10), database():
            return await outside.call(task)

    await schedule(database, "1")

    await make(call=during).run_due()

    assert not database.state.tasks


async def test_a_failed_call_comes_again_after_its_back_off(
    database: Database, make: MakeWorker, outside: Outside, clock: Clock
) -> None:
    await schedule(database, "1")
    outside.error = RuntimeError("a bug\0\ud800")
    worker = make()

    await worker.run_due()
    at_once = await worker.run_due()
    clock.advance(timedelta(seconds=0.5))
    later = await worker.run_due()

    assert (at_once, later) == (0, 1)
    assert stored(database).last_error.startswith("RuntimeError: a bug")
    assert stored(database).attempts == 2


async def test_a_time_that_the_other_side_named_is_kept(
    database: Database, make: MakeWorker, outside: Outside, clock: Clock
) -> None:
    await schedule(database, "1")
    outside.error = TransientError("429", retry_after=20)

    await make().run_due()

    wait = (stored(database).due_at - clock.now()).total_seconds()
    assert 19 < wait <= 20


async def test_a_call_that_takes_too_long_is_cut_and_comes_again(
    database: Database, make: MakeWorker, outside: Outside
) -> None:
    await schedule(database, "1")
    outside.open.clear()

    await make(limit=timedelta(milliseconds=1)).run_due()

    assert (stored(database).attempts, stored(database).last_error) == (1, "TimeoutError: no answer within 0.001 s")
    assert outside.under_way == 0


async def test_an_answer_that_is_there_counts_though_the_event_loop_comes_late_to_it(
    database: Database, make: MakeWorker, records: Records
) -> None:
    loop = asyncio.get_running_loop()

    async def call(_: Task) -> str:
        answer: asyncio.Future[str] = loop.create_future()
        loop.call_soon(stand_still, answer)
        return await answer

    def stand_still(answer: asyncio.Future[str]) -> None:
        """As a large batch does, while another thread gets the answer."""
        end = loop.time() + 0.02
        while loop.time() < end:
            pass
        loop.call_later(0, answer.set_result, "done")

    await schedule(database, "1")

    await make(call=call, limit=timedelta(milliseconds=10)).run_due()

    assert records.outcomes == ["done"]
    assert not database.state.tasks


async def test_what_a_call_answers_as_it_is_cut_counts(
    database: Database, make: MakeWorker, outside: Outside, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.tasks._worker.IF_THE_ANSWER_IS_THERE", 0)

    async def call(task: Task) -> str:
        try:
            return await outside.call(task)
        except asyncio.CancelledError:
            return "it was done all the same"

    outside.open.clear()
    await schedule(database, "1")

    await make(call=call, limit=timedelta(milliseconds=1)).run_due()

    assert records.outcomes == ["it was done all the same"]


async def test_a_process_that_was_held_up_after_its_claim_begins_no_call(
    database: Database, make: MakeWorker, outside: Outside
) -> None:
    await schedule(database, "1")
    worker = make()
    [task] = await InMemoryTaskQueue(database).claim("call", limit=1, lease=worker.kinds[0].lease)

    await worker.perform(worker.kinds[0], task, until=asyncio.get_running_loop().time() - 0.001)

    assert outside.calls == []
    assert "held up" in stored(database).last_error


async def test_a_lease_outlasts_a_call_and_the_longest_wait_for_a_connection() -> None:
    kind: TaskKind[Any] = TaskKind("call", call=Outside().call, record=Records().record, limit=timedelta(seconds=10))

    assert kind.lease == timedelta(seconds=10 + POOL_SECONDS)


@pytest.mark.parametrize("error", [None, RuntimeError("late")])
async def test_who_lost_the_lease_writes_nothing(
    database: Database,
    make: MakeWorker,
    outside: Outside,
    records: Records,
    clock: Clock,
    counts: Counts,
    error: Exception | None,
) -> None:
    worker = make(gives_up=lambda *_: True, abandon=records.abandon)
    await schedule(database, "1")
    outside.error = error

    def another_takes_it() -> None:
        clock.advance(worker.kinds[0].lease + timedelta(seconds=1))
        row = stored(database)
        database.state.tasks["call", "1"] = type(row)(**{**vars(row), "token": None})

    outside.during = another_takes_it
    await worker.run_due()

    assert stored(database).token is None
    assert not database.state.buried_tasks
    assert not records.outcomes
    assert not records.abandoned
    assert counts.attempts == [("call", "lease_lost")]
    assert [attempt.outcome for attempt in worker.attempts.of("1")] == [
        "lease lost" if error is None else "lease lost: RuntimeError: late"
    ]


@pytest.mark.parametrize(
    ("error", "gives_up", "ended", "told"),
    [
        (None, False, "done", "done"),
        (RuntimeError("no"), False, "postponed", "postponed: RuntimeError: no"),
        (RuntimeError("no"), True, "dead_lettered", "dead letter: RuntimeError: no"),
    ],
)
async def test_how_an_attempt_ended_is_counted_and_remembered(
    database: Database,
    make: MakeWorker,
    outside: Outside,
    counts: Counts,
    error: Exception | None,
    gives_up: bool,
    ended: str,
    told: str,
) -> None:
    worker = make(gives_up=lambda *_: gives_up)
    await schedule(database, "1")
    outside.error = error

    await worker.run_due()

    [attempt] = worker.attempts.of("1")
    assert (counts.attempts, attempt.outcome) == ([("call", ended)], told)
    assert 0 <= attempt.seconds == counts.seconds[0] < 10
    assert 0 <= counts.seconds[1] < 10


async def test_an_attempt_that_cannot_be_postponed_is_left_to_the_end_of_its_lease(
    database: Database, outside: Outside, counts: Counts
) -> None:
    class Away(InMemoryTaskQueue[InMemoryAccounts]):
        async def postpone(self, *_: object) -> None:
            raise OSError("the database is away")

    kind: TaskKind[Any] = TaskKind("call", call=outside.call, record=Records().record)
    worker = Worker([kind], Away(database), database, database.tasks_scheduled, counts)
    await schedule(database, "1")
    outside.error = RuntimeError("no")

    await worker.run_due()

    [attempt] = worker.attempts.of("1")
    assert (counts.attempts, attempt.outcome) == (
        [("call", "postponed")],
        "left to the end of its lease: RuntimeError: no",
    )


async def test_a_record_that_fails_leaves_nothing_and_the_task_comes_again(
    database: Database, make: MakeWorker
) -> None:
    async def half_way(_: Task, __: str, uow: InMemoryAccounts) -> None:
        uow.accounts.add(Account(id=Any))  # type: ignore[arg-type]  # whatever
        raise RuntimeError("a bug")

    await schedule(database, "1")

    await make(record=half_way).run_due()

    assert not database.state.table("accounts")
    assert stored(database).attempts == 1


async def test_a_task_never_gives_up_unless_its_kind_says_so(
    database: Database, make: MakeWorker, outside: Outside, clock: Clock
) -> None:
    await schedule(database, "1")
    outside.error = RuntimeError("a bug")
    worker = make()

    for _ in range(100):
        assert await worker.run_due() == 1
        clock.advance(timedelta(minutes=1))

    assert not database.state.buried_tasks


async def test_a_task_that_is_given_up_becomes_a_dead_letter_and_is_abandoned(
    database: Database, make: MakeWorker, outside: Outside, records: Records
) -> None:
    await schedule(database, "1")
    outside.error = ValueError("never")

    await make(
        gives_up=lambda error, attempts: attempts == 1 and "never" in str(error), abandon=records.abandon
    ).run_due()

    [(task, reason)] = database.state.buried_tasks
    assert (task.key, reason, records.abandoned) == ("1", "ValueError: never", ["1"])
    assert not database.state.tasks


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InvalidSQLStatementNameError("a pooler's"),
        asyncpg.InsufficientPrivilegeError("a grant is missing"),
        TimeoutError(),
        TransientError("503"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("at", ["call", "record"])
async def test_a_task_is_never_buried_for_a_transient_error_whatever_its_kind_says(
    database: Database, make: MakeWorker, error: Exception, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.tasks._worker.RECORDING", timedelta(0))  # the lease ends with the call

    async def fail(*_: object) -> None:
        raise error

    await schedule(database, "1")

    await make(gives_up=lambda *_: True, limit=timedelta(milliseconds=20), **{at: fail}).run_due()

    assert not database.state.buried_tasks
    assert stored(database).attempts == 1


async def test_what_was_called_is_recorded_again_and_not_called_again_after_an_error_of_the_database(
    database: Database, make: MakeWorker, outside: Outside, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.tasks._worker.RECORD_AGAIN", 0.001)
    errors: list[Exception] = [TransientError("gone"), asyncpg.InterfaceError("connection is closed")]

    async def record(task: Task, outcome: str, uow: Any) -> None:
        if errors:
            raise errors.pop()
        await records.record(task, outcome, uow)

    await schedule(database, "1")

    await make(record=record).run_due()

    assert (outside.calls, records.outcomes) == (["1"], ["done 1"])
    assert not database.state.tasks


class Transactions:
    """Counts the transactions of a database; with `held`, those after the first one wait until it is set."""

    def __init__(self, database: Database, held: asyncio.Event | None = None) -> None:
        self.begun = 0
        self._database = database
        self._held = held

    def __call__(self, *, reading: bool = False) -> Any:
        return self._database(reading=True) if reading else self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        self.begun += 1
        if self._held is not None:
            await self._held.wait()
        async with self._database() as uow:
            yield uow


@pytest.fixture
def held() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def transactions(database: Database, held: asyncio.Event) -> Transactions:
    return Transactions(database, held)


async def claimed(database: Database, *keys: str) -> list[Task]:
    await schedule(database, *keys)
    return await InMemoryTaskQueue(database).claim("call", limit=100, lease=timedelta(minutes=1))


def recording(database: Database, transactions: Transactions, record: Any, **changes: Any) -> Recording[Any]:
    kind = TaskKind[Any]("call", record=record, **changes)
    return Recording(kind, InMemoryTaskQueue(database), transactions)


async def recorded_together(
    under_test: Recording[Any], held: asyncio.Event, tasks: Sequence[Task]
) -> Sequence[BaseException | None]:
    """The first one has a transaction of its own, which the others wait for; returns how each of them ended."""
    running = [asyncio.create_task(under_test.record(task, task.key)) for task in tasks]
    await asyncio.sleep(0)
    held.set()
    return await asyncio.gather(*running, return_exceptions=True)


async def test_outcomes_that_come_while_others_are_recorded_share_one_transaction(
    database: Database, records: Records, transactions: Transactions, held: asyncio.Event
) -> None:
    tasks = await claimed(database, *"12345")
    under_test = recording(database, transactions, records.record)

    await recorded_together(under_test, held, tasks)

    assert transactions.begun == 2
    assert records.outcomes == [*"12345"]
    assert not database.state.tasks


async def test_an_outcome_that_cant_be_recorded_harms_no_other_one(
    database: Database, records: Records, transactions: Transactions, held: asyncio.Event
) -> None:
    async def record(task: Task, outcome: str, uow: Any) -> None:
        if outcome == "3":
            raise ValueError("a bug")
        await records.record(task, outcome, uow)

    tasks = await claimed(database, *"12345")
    under_test = recording(database, transactions, record)

    ends = await recorded_together(under_test, held, tasks)

    assert [repr(end) for end in ends] == ["None", "None", "ValueError('a bug')", "None", "None"]
    assert [key for _, key in database.state.tasks] == ["3"]


async def test_an_outcome_that_waits_for_a_lock_keeps_no_other_one_from_being_recorded(
    database: Database, records: Records, transactions: Transactions, held: asyncio.Event
) -> None:
    async def record(task: Task, outcome: str, uow: Any) -> None:
        if outcome == "3":
            raise TransientError("canceling statement due to lock timeout")
        await records.record(task, outcome, uow)

    tasks = await claimed(database, *"12345")
    under_test = recording(database, transactions, record)

    ends = await recorded_together(under_test, held, tasks)

    assert [type(end) for end in ends] == [type(None)] * 2 + [TransientError] + [type(None)] * 2
    assert [key for _, key in database.state.tasks] == ["3"]
    assert transactions.begun == 2 + 4


async def test_an_outcome_that_is_recorded_again_waits_for_nobody(
    database: Database, records: Records, transactions: Transactions, held: asyncio.Event
) -> None:
    one, other = await claimed(database, *"12")
    under_test = recording(database, transactions, records.record)
    stuck = asyncio.create_task(under_test.record(one, "1"))
    await asyncio.sleep(0)

    again = asyncio.create_task(under_test.record(other, "2", alone=True))
    await asyncio.sleep(0)
    begun = transactions.begun
    held.set()
    await asyncio.gather(stuck, again)

    assert begun == 2


async def test_an_outcome_that_is_cancelled_while_its_transaction_runs_harms_no_other(
    database: Database, records: Records, transactions: Transactions, held: asyncio.Event
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def record(task: Task, outcome: str, uow: Any) -> None:
        if outcome == "2":
            begun.set()
            await go.wait()
        await records.record(task, outcome, uow)

    tasks = await claimed(database, *"123")
    under_test = recording(database, transactions, record)
    running = [asyncio.create_task(under_test.record(task, task.key)) for task in tasks]
    await asyncio.sleep(0)
    held.set()
    await begun.wait()

    running[2].cancel()
    await asyncio.sleep(0)
    go.set()
    await asyncio.wait(running)

    assert [each.cancelled() for each in running] == [False, False, True]
    assert running[1].exception() is None


async def test_one_lost_lease_among_others_is_told_to_its_own_task_alone(
    database: Database, records: Records, transactions: Transactions, held: asyncio.Event
) -> None:
    tasks = await claimed(database, *"1234")
    del database.state.tasks["call", "3"]
    under_test = recording(database, transactions, records.record)

    ends = await recorded_together(under_test, held, tasks)

    assert [type(end) for end in ends] == [type(None), type(None), LeaseLostError, type(None)]
    assert (records.outcomes, transactions.begun) == (["1", "2", "4"], 2)


async def test_outcomes_are_recorded_though_the_one_that_began_their_transaction_was_cancelled(
    database: Database, records: Records, transactions: Transactions, held: asyncio.Event
) -> None:
    tasks = await claimed(database, *"123")
    under_test = recording(database, transactions, records.record)
    first, *others = [asyncio.create_task(under_test.record(task, task.key)) for task in tasks]
    await asyncio.sleep(0)

    first.cancel()
    held.set()
    await asyncio.wait({first, *others})

    assert first.cancelled()
    assert records.outcomes == ["2", "3"]
    assert [key for _, key in database.state.tasks] == ["1"]


async def test_each_outcome_is_recorded_within_its_own_trace(
    database: Database, transactions: Transactions, held: asyncio.Event
) -> None:
    async def record(task: Task, _: object, uow: Any) -> None:
        uow.tasks.schedule(NewTask("next", f"{task.key} {structlog.contextvars.get_contextvars()['order_id']}"))

    async def one(task: Task) -> None:
        with continued_trace(f"step {task.key}", None, order_id=f"order {task.key}"):
            await under_test.record(task, "")

    tasks = await claimed(database, *"123")
    under_test = recording(database, transactions, record)

    with recorded() as spans:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(one(task))
            await asyncio.sleep(0)
            held.set()

    traces = {step.name: step.trace_id for step in spans.ended}
    following = {row.new.key: (row.traceparent or "").split("-")[1] for row in database.state.tasks.values()}
    assert following == {f"{key} order {key}": traces[f"step {key}"] for key in "123"}


async def test_aggregates_of_outcomes_that_are_recorded_together_are_locked_together(
    database: Database, records: Records, held: asyncio.Event
) -> None:
    locked: list[Sequence[str]] = []

    class Locking(Transactions):
        @asynccontextmanager
        async def _transaction(self) -> AsyncIterator[Any]:
            async with super()._transaction() as uow:
                uow.lock = self.lock
                yield uow

        async def lock(self, keys: Sequence[str]) -> None:
            locked.append(keys)

    tasks = await claimed(database, *"12345")
    under_test = recording(database, Locking(database, held), records.record, locks=lambda task: f"order {task.key}")

    await recorded_together(under_test, held, tasks)

    assert locked == [["order 1"], [f"order {key}" for key in "2345"]]


async def test_the_state_of_tasks_that_are_claimed_together_is_read_together(
    database: Database, make: MakeWorker, records: Records
) -> None:
    async def read(tasks: Sequence[Task], _: Any) -> Sequence[str]:
        read_together.append(len(tasks))
        return [f"state {task.key}" for task in tasks]

    async def call(task: Task) -> str:
        return f"called with {task.state}"

    read_together: list[int] = []
    await schedule(database, *"123")

    await make(read=read, call=call).run_due()

    assert read_together == [3]
    assert records.outcomes == [f"called with state {key}" for key in "123"]


async def test_a_state_that_cant_be_read_keeps_no_other_task_from_its_call(
    database: Database, make: MakeWorker, outside: Outside
) -> None:
    async def read(tasks: Sequence[Task], _: Any) -> Sequence[None]:
        if any(task.key == "2" for task in tasks):
            raise LookupError("a broken row")
        return [None for _ in tasks]

    await schedule(database, *"123")

    await make(read=read).run_due()

    assert outside.calls == ["1", "3"]
    assert [key for _, key in database.state.tasks] == ["2"]
    assert stored(database, "2").last_error.startswith("LookupError: a broken row")


@dataclass
class Gates:
    """Calls that each wait for a gate of their own, and the limits of the claims."""

    keys: Sequence[str] = tuple(f"{number:02}" for number in range(12))
    limits: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._gates = {key: asyncio.Event() for key in self.keys}

    async def call(self, task: Task) -> str:
        await self._gates[task.key].wait()
        return task.key

    def open(self, *keys: str) -> None:
        for key in keys:
            self._gates[key].set()

    def worker(self, database: Database, records: Records) -> Worker[Any]:
        limits = self.limits

        class Counting(InMemoryTaskQueue[Any]):
            async def claim(self, kind: str, *, limit: int, lease: timedelta) -> list[Task]:
                limits.append(limit)
                return await super().claim(kind, limit=limit, lease=lease)

        kind = TaskKind[Any]("call", call=self.call, record=records.record, concurrency=8)
        return Worker([kind], Counting(database), database, database.tasks_scheduled)


@pytest.mark.parametrize(("seconds", "limit"), [(60, 4), (0.001, 1)])
async def test_a_claim_waits_until_half_of_the_places_are_free_but_not_for_long(
    database: Database, records: Records, monkeypatch: pytest.MonkeyPatch, seconds: float, limit: int
) -> None:
    monkeypatch.setattr("outboxed.tasks._worker.CLAIM_AFTER", seconds)
    gates = Gates()
    await schedule(database, *gates.keys)
    running = await _running(gates.worker(database, records), anyio.Event())
    await eventually(lambda: gates.limits == [8], every=0.001)

    gates.open("00")
    await eventually(lambda: records.outcomes == ["00"] and (limit > 1 or len(gates.limits) > 1), every=0.001)
    gates.open("01", "02", "03")
    await eventually(lambda: len(gates.limits) > 1, every=0.001)

    assert gates.limits[1] == limit
    running.cancel()
    await asyncio.wait({running})


async def test_a_stop_while_all_places_are_taken_claims_no_more(
    database: Database, make: MakeWorker, outside: Outside
) -> None:
    outside.open.clear()
    await schedule(database, "1", "2")
    stop = anyio.Event()
    running = await _running(make(concurrency=1), stop)
    await eventually(lambda: outside.under_way == 1, every=0.001)

    stop.set()
    outside.open.set()
    await running

    assert outside.calls == ["1"]


@pytest.mark.parametrize("gives_up", [False, True])
async def test_the_next_task_of_a_group_begins_as_soon_as_the_one_before_is_recorded_or_given_up(
    database: Database, make: MakeWorker, outside: Outside, monkeypatch: pytest.MonkeyPatch, gives_up: bool
) -> None:
    monkeypatch.setattr("outboxed._wakeups.POLL_SECONDS", 60)
    monkeypatch.setattr("outboxed._wakeups.IDLE_POLL_SECONDS", 60)
    async with database() as uow:
        for key in "123":
            uow.tasks.schedule(NewTask("call", key, group="one"))
    outside.error = ValueError("never") if gives_up else None

    running = await _running(make(gives_up=lambda *_: True), anyio.Event())
    await eventually(lambda: outside.calls == ["1", "2", "3"], every=0.001)
    running.cancel()
    await asyncio.wait({running})


async def test_a_deadline_is_not_recorded_again_before_it_is_due_again(database: Database, make: MakeWorker) -> None:
    attempts: list[int] = []

    async def record(task: Task, *_: object) -> None:
        attempts.append(task.attempts)
        raise TransientError("gone")

    await schedule(database, "1")

    await make(call=None, record=record).run_due()

    assert attempts == [1]


async def test_kinds_that_this_release_does_not_know_are_left_alone(database: Database, make: MakeWorker) -> None:
    await schedule(database, "1", kind="from_a_newer_release")

    assert await make().run_due() == 0

    [row] = database.state.tasks.values()
    assert row.attempts == 0


async def _running(worker: Worker[Any], stop: anyio.Event) -> asyncio.Task[None]:
    return asyncio.create_task(worker.run(stop))


async def test_each_kind_has_a_concurrency_of_its_own(
    database: Database, make: MakeWorker, outside: Outside, records: Records
) -> None:
    quick = Outside()
    quick.open.set()
    other = TaskKind[Any]("quick", call=quick.call, record=records.record, concurrency=2)
    outside.open.clear()
    await schedule(database, *"12345")
    await schedule(database, *"abcde", kind="quick")
    stop = anyio.Event()

    running = await _running(make(other, concurrency=3), stop)
    await eventually(lambda: len(quick.calls) == 5, every=0.001)
    held = outside.under_way
    outside.open.set()
    await eventually(lambda: not database.state.tasks, every=0.001)
    stop.set()
    await running

    assert (held, outside.most, len(outside.calls)) == (3, 3, 5)
    assert quick.most <= 2


async def test_a_stop_claims_no_more_and_lets_running_calls_end(
    database: Database, make: MakeWorker, outside: Outside, records: Records
) -> None:
    outside.open.clear()
    await schedule(database, "1")
    stop = anyio.Event()
    running = await _running(make(concurrency=2), stop)
    await eventually(lambda: outside.under_way == 1, every=0.001)

    stop.set()
    await schedule(database, "2")
    for _ in range(20):  # rounds of the event loop: what would happen wrongly, would happen now
        await asyncio.sleep(0)
    outside.open.set()
    await running

    assert (outside.calls, records.outcomes) == (["1"], ["done 1"])
    assert list(database.state.tasks) == [("call", "2")]


async def test_a_call_that_outlasts_the_grace_is_left_to_its_lease(
    database: Database, make: MakeWorker, outside: Outside, records: Records
) -> None:
    outside.open.clear()
    await schedule(database, "1")
    running = await _running(make(), anyio.Event())
    await eventually(lambda: outside.under_way == 1, every=0.001)

    running.cancel()
    await asyncio.wait({running})

    assert outside.under_way == 0
    assert not records.outcomes
    assert stored(database).leased_until is not None


async def test_a_scheduled_task_wakes_the_worker(
    database: Database, make: MakeWorker, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed._wakeups.POLL_SECONDS", 60)
    monkeypatch.setattr("outboxed._wakeups.IDLE_POLL_SECONDS", 60)
    await schedule(database, "0")
    running = await _running(make(), anyio.Event())
    await eventually(lambda: not database.state.tasks, every=0.001)

    await schedule(database, "1")
    await eventually(lambda: outside.calls == ["0", "1"], every=0.001)
    running.cancel()
    await asyncio.wait({running})


@pytest.fixture
def told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all work: no loop looks by itself before its safety look."""
    database.tasks_scheduled.hears_others = True
    monkeypatch.setattr("outboxed._wakeups.POLL_SECONDS", 0)
    monkeypatch.setattr("outboxed._wakeups.IDLE_POLL_SECONDS", 0)
    monkeypatch.setattr("outboxed._wakeups.SAFETY_SECONDS", 60)


class Looks(InMemoryTaskQueue[Any]):
    """Counts the claims, and knows whether somebody has asked when the next task is due."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.claims = 0
        self.asked: list[float] = []

    async def claim(self, kind: str, *, limit: int, lease: timedelta) -> list[Task]:
        self.claims += 1
        return await super().claim(kind, limit=limit, lease=lease)

    async def next_due_in(self, kind: str) -> float:
        self.asked.append(await super().next_due_in(kind))
        return self.asked[-1]


def looking_worker(database: Database, looks: Looks, outside: Outside, records: Records) -> Worker[Any]:
    kind = TaskKind[Any]("call", call=outside.call, record=records.record)
    return Worker([kind], looks, database, database.tasks_scheduled)


@pytest.mark.usefixtures("told")
async def test_a_worker_that_is_told_of_all_work_stops_looking_and_stops_at_once_when_it_must(
    database: Database, outside: Outside, records: Records
) -> None:
    looks, stop = Looks(database), anyio.Event()
    running = await _running(looking_worker(database, looks, outside, records), stop)
    await eventually(lambda: bool(looks.asked), every=0.001)
    claims = looks.claims
    for _ in range(50):  # rounds of the event loop: it would look at each of them
        await asyncio.sleep(0)

    stop.set()
    async with asyncio.timeout(10):
        await running

    assert (looks.claims, looks.asked) == (claims, [math.inf])


@pytest.mark.usefixtures("told")
async def test_a_postponed_task_is_done_when_it_is_due_though_nobody_tells_of_it(
    database: Database, outside: Outside, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.tasks._queue.FIRST_BACKOFF", 0.02)
    looks = Looks(database)
    outside.error = TransientError("503")
    running = await _running(looking_worker(database, looks, outside, records), anyio.Event())
    await eventually(lambda: bool(looks.asked), every=0.001)
    await schedule(database, "1")
    await eventually(lambda: stored(database).attempts == 1 and stored(database).token is None, every=0.001)

    outside.error = None
    await eventually(lambda: records.outcomes == ["done 1"], every=0.001)
    running.cancel()
    await asyncio.wait({running})


@pytest.mark.parametrize(("limit", "grace"), [(5, 6), (29, 30), (300, MAX_GRACE)])
def test_the_grace_is_the_longest_calls_limit_and_half_a_minute_at_most(
    make: MakeWorker, limit: float, grace: float
) -> None:
    assert make(limit=timedelta(seconds=limit)).grace == grace


async def test_what_is_due_is_counted_over_all_kinds_and_up_to_each_ones_concurrency(
    database: Database, make: MakeWorker, outside: Outside, records: Records
) -> None:
    other = TaskKind[Any]("other", call=outside.call, record=records.record, concurrency=2)
    await schedule(database, "1")
    await schedule(database, *"abc", kind="other")

    assert await make(other).run_due() == 3


async def test_a_place_that_becomes_free_is_taken_while_the_other_calls_go_on(
    database: Database, make: MakeWorker, records: Records
) -> None:
    gates: dict[str, asyncio.Event] = {key: asyncio.Event() for key in "1234"}
    begun: list[str] = []

    async def call(task: Task) -> str:
        begun.append(task.key)
        await gates[task.key].wait()
        return task.key

    await schedule(database, *gates)
    running = await _running(make(call=call, concurrency=2), anyio.Event())
    await eventually(lambda: len(begun) == 2, every=0.001)

    gates[begun[0]].set()
    await eventually(lambda: len(begun) == 3, every=0.001)
    for _ in range(20):  # rounds of the event loop: what would begin wrongly, would begin now
        await asyncio.sleep(0)

    assert (len(begun), records.outcomes) == (3, [begun[0]])
    running.cancel()
    await asyncio.wait({running})


class Failing(InMemoryTaskQueue[Any]):
    """Fails with `errors`, one at each call of `method`, and then works."""

    def __init__(self, database: Database, method: str, *errors: Exception) -> None:
        super().__init__(database)
        self._method, self._errors = method, list(errors)

    async def claim(self, kind: str, *, limit: int, lease: timedelta) -> list[Task]:
        self._fail("claim")
        return await super().claim(kind, limit=limit, lease=lease)

    async def postpone(self, task: Task, delay: timedelta, error: str) -> None:
        self._fail("postpone")
        await super().postpone(task, delay, error)

    def _fail(self, method: str) -> None:
        if method == self._method and self._errors:
            raise self._errors.pop()


def failing_worker(database: Database, outside: Outside, records: Records, *failing: Any) -> Worker[Any]:
    kind = TaskKind[Any]("call", call=outside.call, record=records.record)
    return Worker([kind], Failing(database, *failing), database, database.tasks_scheduled)


async def test_a_worker_goes_on_when_the_database_is_back(
    database: Database, outside: Outside, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.tasks._worker.OUTAGE_SECONDS", 0)
    monkeypatch.setattr("outboxed._wakeups.POLL_SECONDS", 0)
    await schedule(database, "1")

    worker = failing_worker(database, outside, records, "claim", ConnectionResetError(), ConnectionResetError())
    running = await _running(worker, anyio.Event())
    await eventually(lambda: records.outcomes == ["done 1"], every=0.001)
    running.cancel()
    await asyncio.wait({running})


async def test_an_error_that_does_not_pass_ends_the_worker(
    database: Database, outside: Outside, records: Records
) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await failing_worker(database, outside, records, "claim", LookupError()).run(anyio.Event())

    assert caught.group_contains(LookupError)


async def test_an_outage_while_a_task_is_postponed_leaves_it_to_its_lease(
    database: Database, outside: Outside, records: Records
) -> None:
    await schedule(database, "1")
    outside.error = RuntimeError("503")

    await failing_worker(database, outside, records, "postpone", ConnectionResetError()).run_due()

    assert stored(database).leased_until is not None


async def test_any_other_error_while_a_task_is_postponed_is_raised(
    database: Database, outside: Outside, records: Records
) -> None:
    await schedule(database, "1")
    outside.error = RuntimeError("503")

    with pytest.raises(LookupError):
        await failing_worker(database, outside, records, "postpone", LookupError()).run_due()


async def test_a_cut_call_has_the_time_to_clean_up(database: Database, make: MakeWorker, outside: Outside) -> None:
    cleaned: list[str] = []

    async def call(task: Task) -> str:
        try:
            return await outside.call(task)
        finally:
            for _ in range(10 ** int(task.key)):
                await asyncio.sleep(0)
            cleaned.append(task.key)

    outside.open.clear()
    await schedule(database, "1", "2")

    async with anyio.create_task_group() as group:
        group.start_soon(make(call=call).run, anyio.Event())
        await eventually(lambda: outside.under_way == 2, every=0.001)
        group.cancel_scope.cancel()

    assert cleaned == ["1", "2"]


@pytest.mark.parametrize(("group", "account_id"), [(None, "1"), ("7", "7")])
async def test_a_task_goes_on_with_the_trace_of_what_scheduled_it(
    database: Database, make: MakeWorker, group: str | None, account_id: str
) -> None:
    seen: dict[str, Any] = {}

    async def call(_: Task) -> str:
        seen.update(structlog.contextvars.get_contextvars())
        return ""

    with recorded() as spans:
        with continued_trace("POST /orders", None):
            async with database() as uow:
                uow.tasks.schedule(NewTask("call", "1", group=group))
        await make(call=call, log_as="account_id").run_due()

    [cause, step] = spans.ended
    assert (step.name, step.trace_id, step.parent) == ("call", cause.trace_id, cause.id)
    assert (seen["task"], seen["account_id"], seen["span_id"]) == ("call", account_id, step.id)


@pytest.mark.parametrize(
    ("gives_up", "outcome"), [(False, "postponed: ValueError: 503"), (True, "dead letter: ValueError: 503")]
)
async def test_a_tasks_span_says_how_it_ended(
    database: Database, make: MakeWorker, outside: Outside, gives_up: bool, outcome: str
) -> None:
    await schedule(database, "1")
    outside.error = ValueError("503")

    with recorded() as spans:
        await make(gives_up=lambda *_: gives_up).run_due()

    assert [step.outcome for step in spans.ended] == [outcome]
