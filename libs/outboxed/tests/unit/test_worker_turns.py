"""When a worker claims, how much at once, what wakes it, and what ends it."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import anyio
import pytest
from backing_services.waiting import eventually
from outboxed._wakeups import Wakeup
from outboxed.errors import TransientError
from outboxed.ports import NewTask
from outboxed.tasks import Task, TaskKind, Worker
from outboxed.tasks._worker import MAX_GRACE
from outboxed.testing.memory import InMemoryTaskQueue

from ..workers import Database, MakeWorker, Outside, Records, schedule, stored


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


async def test_a_look_for_what_was_missed_claims_nothing_until_a_task_is_due(
    database: Database, outside: Outside, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed._wakeups.POLL_SECONDS", 0.001)
    monkeypatch.setattr("outboxed._wakeups.IDLE_POLL_SECONDS", 0.001)
    asked: list[str] = []

    class Counting(InMemoryTaskQueue[Any]):
        async def claim(self, kind: str, *, limit: int, lease: timedelta) -> list[Task]:
            asked.append("claim")
            return await super().claim(kind, limit=limit, lease=lease)

        async def next_due_in(self, kind: str) -> float:
            asked.append("look")
            return await super().next_due_in(kind)

    kind = TaskKind[Any]("call", call=outside.call, record=records.record)
    worker = Worker([kind], Counting(database), database, database.tasks_scheduled)
    running = await _running(worker, anyio.Event())
    await eventually(lambda: asked.count("look") > 5, every=0.001)
    claims = asked.count("claim")
    await eventually(lambda: asked.count("look") > 10, every=0.001)

    assert asked.count("claim") == claims
    database.tasks_scheduled = Wakeup()  # nobody tells the worker of the next one
    await schedule(database, "missed")
    await eventually(lambda: outside.calls == ["missed"], every=0.001)
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
    # each attempt waits longer than the one before, so one is seen to wait, on a slow machine, too
    await eventually(lambda: stored(database).attempts >= 1 and stored(database).token is None, every=0.001)

    outside.error = None
    await eventually(lambda: records.outcomes == ["done 1"], every=0.001)
    running.cancel()
    await asyncio.wait({running})


@pytest.mark.usefixtures("told")
async def test_a_worker_that_rests_while_a_call_runs_hears_when_that_is_to_be_made_again(
    database: Database, outside: Outside, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.tasks._queue.FIRST_BACKOFF", 0.02)
    looks = Looks(database)
    outside.open.clear()
    outside.error = TransientError("503")
    running = await _running(looking_worker(database, looks, outside, records), anyio.Event())
    await schedule(database, "1")
    await eventually(lambda: bool(looks.asked) and 1 < looks.asked[-1] < math.inf, every=0.001)  # the end of its lease

    def mend() -> None:
        outside.error = None if len(outside.calls) > 1 else outside.error

    outside.during = mend
    outside.open.set()

    await eventually(lambda: records.outcomes == ["done 1"], every=0.001, within=5)
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
