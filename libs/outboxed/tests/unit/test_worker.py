"""An attempt at a task: called, recorded; and what happens when the call or the lease ends early."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import anyio
import asyncpg
import pytest
import structlog
from backing_services.waiting import eventually
from outboxed.errors import TransientError
from outboxed.ports import NewTask
from outboxed.storage import POOL_SECONDS, Clock
from outboxed.tasks import Task, TaskKind, Worker
from outboxed.telemetry import continued_trace
from outboxed.testing.memory import InMemoryTaskQueue
from outboxed.testing.tracking.spans import recorded

from ..sample import Account, InMemoryAccounts
from ..workers import Counts, Database, MakeWorker, Outside, Records, schedule, stored


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


async def test_of_an_error_is_kept_what_postgresql_would_keep(
    database: Database, make: MakeWorker, outside: Outside
) -> None:
    await schedule(database, "1")
    outside.error = RuntimeError("a\0b\ud800" + "c" * 2000)

    await make().run_due()

    assert stored(database).last_error == ("RuntimeError: ab?" + "c" * 2000)[:1000]


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


async def test_the_time_of_a_call_is_counted_from_before_its_claim(
    database: Database, outside: Outside, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease begins in the database: after a slow claim a call of the whole limit would outlast it."""
    late = 0.0
    monkeypatch.setattr("outboxed.tasks._worker.time", SimpleNamespace(monotonic=lambda: time.monotonic() + late))

    class Slow(InMemoryTaskQueue[Any]):
        async def claim(self, kind: str, *, limit: int, lease: timedelta) -> list[Task]:
            nonlocal late
            claimed = await super().claim(kind, limit=limit, lease=lease)
            late = 10.0
            return claimed

    kind = TaskKind[Any]("call", call=outside.call, record=records.record, limit=timedelta(seconds=10))
    worker: Worker[Any] = Worker([kind], Slow(database), database, database.tasks_scheduled)
    await schedule(database, "1")
    stop = anyio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        await eventually(lambda: bool(stored(database).last_error))
        stop.set()

    assert outside.calls == []
    assert "held up for longer than the call may take" in stored(database).last_error


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
    begun = time.monotonic()

    await worker.run_due()

    [attempt] = worker.attempts.of("1")
    assert (counts.attempts, attempt.outcome) == ([("call", ended)], told)
    assert 0 <= attempt.seconds == counts.seconds[0] <= time.monotonic() - begun, "seconds, not milliseconds"
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


async def test_what_is_recorded_again_waits_for_no_other_outcome(
    database: Database, make: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.tasks._worker.RECORD_AGAIN", 0.001)
    by_itself: list[bool] = []

    class Recording:
        async def record(self, _: Task, __: object, *, alone: bool) -> None:
            by_itself.append(alone)
            if len(by_itself) < 3:
                raise TransientError("gone")

    await schedule(database, "1")
    worker = make()
    recording: Any = Recording()
    worker._recordings["call"] = recording  # noqa: SLF001 - what is shared, test_recording sees

    await worker.run_due()

    assert by_itself == [False, True, True]


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


async def test_a_deadline_is_not_recorded_again_before_it_is_due_again(database: Database, make: MakeWorker) -> None:
    attempts: list[int] = []

    async def record(task: Task, *_: object) -> None:
        attempts.append(task.attempts)
        raise TransientError("gone")

    await schedule(database, "1")

    await make(call=None, record=record).run_due()

    assert attempts == [1]


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
