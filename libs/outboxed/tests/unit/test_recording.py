"""Outcomes of tasks that come at the same time share a transaction, and none harms another."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import structlog
from outboxed.errors import TransientError
from outboxed.ports import NewTask
from outboxed.tasks import LeaseLostError, Task, TaskKind
from outboxed.tasks._recording import Recording
from outboxed.telemetry import continued_trace
from outboxed.testing.memory import InMemoryTaskQueue
from outboxed.testing.tracking.spans import recorded

from ..workers import Database, Records, schedule


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


async def test_outcomes_whose_shared_transaction_fails_at_its_end_are_recorded_one_by_one(
    database: Database, records: Records, held: asyncio.Event
) -> None:
    class FailsAtItsEnd(Transactions):
        @asynccontextmanager
        async def _transaction(self) -> AsyncIterator[Any]:
            async with super()._transaction() as uow:
                shared = self.begun == 2
                yield uow
                if shared:
                    raise TransientError("the connection is lost")

    tasks = await claimed(database, *"12345")
    transactions = FailsAtItsEnd(database, held)
    under_test = recording(database, transactions, records.record)

    ends = await recorded_together(under_test, held, tasks)

    assert (ends, transactions.begun) == ([None] * 5, 2 + 4)
    assert not database.state.tasks


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
