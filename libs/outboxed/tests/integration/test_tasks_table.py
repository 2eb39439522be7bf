"""The tasks table: who gets what, and who may still write; services' parity suites hold the rest."""

import asyncio
import math
from datetime import timedelta

import pytest
import sqlalchemy as sa
from outboxed.ports import NewTask
from outboxed.storage import DeadLetterTable, tables
from outboxed.tasks import LeaseLostError, SqlTaskQueue, Task, TaskStatements
from outboxed.telemetry import SpanKind, continued_trace
from sqlalchemy.ext.asyncio import AsyncConnection

from .conftest import Transactions, count, insert_tasks

LEASE = timedelta(seconds=30)


@pytest.fixture
def queue(transactions: Transactions) -> SqlTaskQueue:
    return SqlTaskQueue(transactions.engine, transactions.clock)


async def schedule(transactions: Transactions, *tasks: NewTask) -> None:
    async with transactions() as uow:
        for task in tasks:
            uow.tasks.schedule(task)


async def claim(queue: SqlTaskQueue, limit: int = 100) -> list[Task]:
    return await queue.claim("call", limit=limit, lease=LEASE)


async def test_two_claimers_never_get_the_same_task(transactions: Transactions, queue: SqlTaskQueue) -> None:
    await schedule(transactions, *(NewTask("call", str(number)) for number in range(60)))

    claimed = await asyncio.gather(*(claim(queue, 7) for _ in range(12)))

    keys = [task.key for tasks in claimed for task in tasks]
    assert len(keys) == len(set(keys))
    assert await claim(queue) + [task for tasks in claimed for task in tasks]


async def test_a_row_that_somebody_holds_is_passed_over_and_not_waited_for(
    transactions: Transactions, queue: SqlTaskQueue
) -> None:
    await schedule(transactions, NewTask("call", "held"), NewTask("call", "free"))

    async with transactions.engine.begin() as holder, asyncio.timeout(30):
        held = sa.select(tables.tasks).where(tables.tasks.c.key == "held").with_for_update()
        await holder.execute(held)

        assert [task.key for task in await claim(queue)] == ["free"]


async def test_tasks_that_are_claimed_together_come_in_the_order_of_their_making(
    transactions: Transactions, queue: SqlTaskQueue
) -> None:
    await schedule(transactions, *(NewTask("call", key) for key in "123"))
    async with transactions.engine.begin() as connection:  # a row that is changed is a new one at the end of its table
        await connection.exec_driver_sql("update tasks set last_error = 'busy' where key in ('1', '2')")
        await connection.exec_driver_sql("update tasks set last_error = 'busy' where key = '1'")

    assert [task.key for task in await claim(queue)] == ["1", "2", "3"]


async def insert(transactions: Transactions, *tasks: tuple[str, int, int | None]) -> None:
    """Tasks by their kind, and the minutes from now at which they are due and their lease ends."""
    await insert_tasks(transactions.engine, [(kind, due, due, leased) for kind, due, leased in tasks])
    async with transactions.engine.begin() as connection:
        await connection.exec_driver_sql("analyze tasks")  # else the plan is that of a large table, in an index's order


async def test_of_more_tasks_than_may_be_claimed_those_that_were_due_first_are(
    transactions: Transactions, queue: SqlTaskQueue
) -> None:
    await insert(transactions, ("call", -1, None), ("call", -3, None), ("other", -9, None), ("call", -2, None))

    assert [task.key for task in await claim(queue, 2)] == ["1", "3"]
    assert [task.key for task in await claim(queue, 2)] == ["0"]


@pytest.mark.parametrize(
    ("tasks", "minutes"),
    [
        ([("call", -1, None)], -1),
        ([("call", 10, None), ("call", 30, None)], 10),
        ([("call", -1, 5)], 5),
        ([("call", -1, 9), ("call", -2, 5)], 5),
        ([("call", -1, 5), ("call", 3, None)], 3),
        ([("call", -1, 5), ("call", 8, None)], 5),
        ([("call", -9, 5), ("call", -1, None)], -1),
        ([("call", 7, None), ("other", -1, None), ("other", 3, None), ("other", -1, 2)], 7),
        ([("other", -1, None)], math.inf),
    ],
)
async def test_a_worker_waits_until_the_next_task_of_its_kind_is_due_or_free(
    transactions: Transactions, queue: SqlTaskQueue, tasks: list[tuple[str, int, int | None]], minutes: float
) -> None:
    await insert(transactions, *tasks)

    assert await queue.next_due_in("call") == pytest.approx(60 * minutes, abs=30)


async def test_a_task_that_is_given_up_keeps_its_group_and_its_trace(
    transactions: Transactions, queue: SqlTaskQueue
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with transactions() as uow:
        with continued_trace("an order", trace, SpanKind.INTERNAL):
            uow.tasks.schedule(NewTask("call", "1", group="one"))
    [task] = await claim(queue)

    async with transactions() as uow:
        await queue.bury(task, "never", uow)
    async with transactions() as uow:
        [letter] = await DeadLetterTable(tables.dead_letters).list(uow.connection)

    assert letter.header("group") == "one"
    assert (letter.header("traceparent") or "").split("-")[1] == trace.split("-")[1]


@pytest.mark.parametrize(("delay", "is_told"), [(0, True), (4, True), (6, False)], ids=["now", "soon", "later"])
async def test_workers_are_told_of_what_is_due_before_they_look_by_themselves(
    transactions: Transactions, delay: float, is_told: bool
) -> None:
    told = transactions.tasks_scheduled.subscribe()

    await schedule(transactions, NewTask("call", "1", delay=timedelta(seconds=delay)))

    assert await told.wait(0) is is_told


async def test_claims_find_the_due_ones_by_the_index(transactions: Transactions) -> None:
    await schedule(transactions, *(NewTask("call", str(number), delay=timedelta(hours=1)) for number in range(500)))
    claims = TaskStatements(tables.tasks, tables.dead_letters).claim.sql.compile(dialect=transactions.engine.dialect)
    values = {"of_kind": "call", "most": 8, "lease": LEASE, "offset": timedelta(0)}

    async with transactions.engine.begin() as connection:
        await connection.execute(sa.text("set local enable_seqscan = off"))
        given = claims.construct_params(values)
        plan = await connection.exec_driver_sql(
            f"explain {claims}", tuple(given[name] for name in claims.positiontup or ())
        )

    assert any("Index Cond" in line and "due_at" in line for line in plan.scalars())


async def test_a_lease_that_ended_lets_the_next_worker_in_and_the_first_out(
    transactions: Transactions, queue: SqlTaskQueue
) -> None:
    await schedule(transactions, NewTask("call", "1"))
    [first] = await claim(queue)

    before = await claim(queue)
    transactions.clock.advance(LEASE + timedelta(seconds=1))
    [second] = await claim(queue)

    assert not before
    assert second.attempts == 2
    with pytest.raises(LeaseLostError):
        await queue.postpone(first, timedelta(0), "late")
    async with transactions() as uow:
        assert not await queue.complete([first], uow)
        with pytest.raises(LeaseLostError):
            await queue.bury(first, "late", uow)
        await queue.complete([second], uow)
    assert await count(transactions.engine, tables.tasks) == 0


async def test_a_task_that_was_given_back_is_its_workers_no_more_and_due_when_it_said(
    transactions: Transactions, queue: SqlTaskQueue
) -> None:
    await schedule(transactions, NewTask("call", "1"))
    [task] = await claim(queue)

    await queue.postpone(task, timedelta(minutes=10), "busy")

    with pytest.raises(LeaseLostError):
        await queue.postpone(task, timedelta(0), "busy")
    async with transactions() as uow:
        assert not await queue.complete([task], uow)
    assert await claim(queue) == []
    transactions.clock.advance(timedelta(minutes=11))
    assert [again.attempts for again in await claim(queue)] == [2]


async def test_a_task_whose_outcome_is_being_recorded_is_nobody_elses_though_its_lease_ends_meanwhile(
    transactions: Transactions, queue: SqlTaskQueue
) -> None:
    await schedule(transactions, NewTask("call", "1"))
    [task] = await claim(queue)

    async with transactions() as uow:
        await queue.complete([task], uow)
        transactions.clock.advance(LEASE + timedelta(seconds=1))
        claimed = await claim(queue)

    assert not claimed
    assert not await claim(queue)


async def test_an_error_with_characters_that_postgresql_refuses_is_kept_without_them(
    transactions: Transactions, queue: SqlTaskQueue
) -> None:
    await schedule(transactions, NewTask("call", "1"))
    [task] = await claim(queue)

    await queue.postpone(task, timedelta(0), "a\0b\ud800" + "c" * 2000)

    async with transactions.engine.connect() as connection:
        error = (await connection.execute(sa.select(tables.tasks.c.last_error))).scalar_one()
    assert error == ("ab?" + "c" * 2000)[:1000]


async def test_outcomes_that_share_a_transaction_wait_for_a_lock_for_half_a_second_and_one_alone_for_longer(
    transactions: Transactions, queue: SqlTaskQueue
) -> None:
    await schedule(transactions, *(NewTask("call", key) for key in "123"))
    one, *others = await claim(queue)

    waits = []
    for tasks in ([one], others):
        async with transactions() as uow:
            await queue.complete(tasks, uow)
            waits.append((await uow.connection.execute(sa.text("show lock_timeout"))).scalar_one())
    async with transactions() as uow:  # on the same connection
        waits.append((await uow.connection.execute(sa.text("show lock_timeout"))).scalar_one())

    assert waits == ["5s", "500ms", "5s"]


async def test_a_commit_whose_answer_was_lost_wakes_the_worker_as_it_may_have_happened(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def commit(connection: AsyncConnection) -> None:
        await connection.commit()
        raise ConnectionResetError

    monkeypatch.setattr("outboxed.storage._unit_of_work._commit", commit)
    worker = transactions.tasks_scheduled.subscribe()

    with pytest.raises(ConnectionResetError):
        await schedule(transactions, NewTask("call", "1"))

    assert await worker.wait(0)


async def test_a_letter_of_a_task_has_the_time_of_the_database(transactions: Transactions, queue: SqlTaskQueue) -> None:
    """As the tasks and all other letters have: a host's clock may be wrong."""
    await schedule(transactions, NewTask("call", "1"))
    [task] = await claim(queue)
    async with transactions() as uow:
        await queue.bury(task, "never", uow)

    async with transactions.engine.connect() as connection:
        failed_at = (await connection.execute(sa.select(tables.dead_letters.c.failed_at))).scalar_one()
    assert failed_at == task.now, "what the database said at the claim"
