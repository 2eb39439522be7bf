"""Claims tasks, makes their calls and records the outcomes; each kind has its own loop and its own concurrency."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Literal, Protocol, TypeVar

import anyio
import structlog

from outboxed import _conventions as names
from outboxed._backoff import backoff
from outboxed._stopping import Stop, turns_until
from outboxed._wakeups import Idling, Subscription, Wakeup, woken_at
from outboxed.errors import TransientError
from outboxed.failpoints import failpoint
from outboxed.messages import reason_of
from outboxed.ports import Locks, UnitOfWorkFactory
from outboxed.storage import is_transient
from outboxed.tasks._attempts import Attempts
from outboxed.tasks._queue import NOT_READ, RECORDING, LeaseLostError, Task, TaskKind, TaskQueue, retry_delay
from outboxed.tasks._recording import Recording
from outboxed.telemetry import SpanKind, continued_trace, set_attributes, set_failure

log = structlog.get_logger()

OUTAGE_SECONDS = 0.5
MAX_GRACE = 30.0
IF_THE_ANSWER_IS_THERE = 0.05
RECORD_AGAIN = 0.05
CLAIM_AFTER = 0.02
"""Seconds that a few free places wait for more, so that one claim fills many: a claim costs as much for one task."""

U = TypeVar("U", bound=Locks)


Ending = Literal["done", "postponed", "dead_lettered", "lease_lost"]


class WorkerMetrics(Protocol):
    """What the worker counts."""

    def task_attempted(self, kind: str, outcome: Ending, seconds: float, due_for: float) -> None:
        """Count an attempt, which took so many `seconds`, at a task that had been due for so many."""
        ...


class Worker(Generic[U]):
    """Does the tasks of the kinds that it knows; a newer release's kinds wait for a newer worker."""

    def __init__(
        self,
        kinds: Sequence[TaskKind[U]],
        queue: TaskQueue[U],
        unit_of_work: UnitOfWorkFactory[U],
        scheduled: Wakeup,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._metrics = metrics
        self.kinds = kinds
        self._queue = queue
        self._unit_of_work = unit_of_work
        self._scheduled = scheduled
        self.attempts = Attempts()
        self._recordings = {kind.name: Recording(kind, queue, unit_of_work) for kind in kinds}

    @property
    def grace(self) -> float:
        """Seconds that running calls may need to end."""
        return min(max((kind.limit.total_seconds() for kind in self.kinds), default=0.0) + 1, MAX_GRACE)

    async def run(self, stop: Stop) -> None:
        """Work until `stop`; then claim no more, and return when the running calls have ended."""
        async with anyio.create_task_group() as group:
            for kind in self.kinds:
                group.start_soon(self._run_kind, kind, stop, self._scheduled.subscribe())

    async def run_due(self) -> int:
        """Do every task that is due now, once each, and return their number: for tests and tools that need no loop."""
        done = 0
        for kind in self.kinds:
            tasks = await self._claim(kind, kind.concurrency)
            for task in tasks:
                await self.perform(kind, task)
            done += len(tasks)
        return done

    async def _run_kind(self, kind: TaskKind[U], stop: Stop, wake: Subscription) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            async with woken_at(stop, wake):
                await self._do_tasks(kind, stop, wake, running)
            await asyncio.gather(*running)
        finally:
            await _cancel(running)

    async def _do_tasks(
        self, kind: TaskKind[U], stop: Stop, wake: Subscription, running: set[asyncio.Task[None]]
    ) -> None:
        idling = Idling()
        for _ in turns_until(stop):
            await _places(kind, running)
            if stop.is_set():
                break
            until = time.monotonic() + kind.limit.total_seconds()
            claimed = await self._claim_if_possible(kind, kind.concurrency - len(running))
            for task in claimed:
                running.add(asyncio.create_task(self.perform(kind, task, until=until)))
            if claimed:
                idling.end()
            else:
                await self._rest(kind, idling, wake)
            _forget_done(running)

    async def _rest(self, kind: TaskKind[U], idling: Idling, wake: Subscription) -> None:
        """Wait until somebody tells of work, or a task may be due: a look for what was missed claims nothing."""
        while True:
            due_in, since = await self._due_in(kind, idling), time.monotonic()
            told = await idling.wait(wake, due_in=due_in)
            if told or due_in is None or due_in <= time.monotonic() - since:
                return

    async def _due_in(self, kind: TaskKind[U], idling: Idling) -> float | None:
        """When the next task is due, asked only after a while without work; None if nobody knows."""
        if not idling.is_long:
            return None
        try:
            return await self._queue.next_due_in(kind.name)
        except Exception as error:
            if not is_transient(error):
                raise
            return None

    async def _claim(self, kind: TaskKind[U], limit: int) -> Sequence[Task]:
        tasks = await self._queue.claim(kind.name, limit=limit, lease=kind.lease)
        if kind.read is None or not tasks:
            return tasks
        try:
            return await self._read(kind, tasks)
        except Exception as error:  # noqa: BLE001 - each task then reads by itself, and has its own error
            log.debug("tasks_not_read", kind=kind.name, tasks=len(tasks), reason=reason_of(error))
            return tasks

    @failpoint("task.read")
    async def _read(self, kind: TaskKind[U], tasks: Sequence[Task]) -> Sequence[Task]:
        assert kind.read is not None  # noqa: S101 - the callers look
        async with self._unit_of_work(reading=True) as uow:
            states = await kind.read(tasks, uow)
        return [replace(task, state=state) for task, state in zip(tasks, states, strict=True)]

    async def _claim_if_possible(self, kind: TaskKind[U], limit: int) -> Sequence[Task]:
        try:
            return await self._claim(kind, limit)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("claim_failed", kind=kind.name, error=repr(error))
            await asyncio.sleep(OUTAGE_SECONDS)
            return []

    async def perform(self, kind: TaskKind[U], task: Task, *, until: float | None = None) -> None:
        """One attempt: call, then record; a failure is written only under the task's own lease.

        The call ends at `until` of time.monotonic, counted from before the claim: in a process that was held up no call
        outlives the lease. An event loop's own time may stand still while a callback runs. Without `until` the call
        has the kind's limit from now on.
        """
        now = time.monotonic()
        seconds = kind.limit.total_seconds() if until is None else until - now
        about = {kind.log_as: task.group or task.key}
        attributes = partial(_said_of, task)
        with continued_trace(kind.name, task.traceparent, SpanKind.INTERNAL, attributes, task=kind.name, **about):
            try:
                if kind.read is not None and task.state is NOT_READ:
                    [task] = await self._read(kind, [task])
                answer = await _call(kind, task, seconds)
                await self._record_under_lease(kind, task, answer, now + seconds + RECORDING.total_seconds())
            except LeaseLostError:
                # another worker has the task, and its call comes once more
                log.warning("lease_lost", key=task.key, attempts=task.attempts)
                ended: Ending = "lease_lost"
                said = "lease lost"
                set_failure("lease_lost", said)
            except Exception as error:  # noqa: BLE001 - after any error the task must be postponed or buried
                ended, said = await self._failed(kind, task, error)
            else:
                log.info("task_done", attempts=task.attempts)
                ended = said = "done"
            set_attributes({names.TASK_OUTCOME: ended})
            spent = time.monotonic() - now
            self.attempts.add(task, spent, said)
            if self._metrics is not None:
                self._metrics.task_attempted(kind.name, ended, spent, task.due_for)

    async def _record_under_lease(self, kind: TaskKind[U], task: Task, outcome: object, end: float) -> None:
        """Record a call's outcome, and again after an error of the database: else the call would be made once more."""
        attempt = 0
        while True:
            try:
                await self._recordings[kind.name].record(task, outcome, alone=attempt > 0)
                break
            except Exception as error:
                attempt += 1
                pause = backoff(attempt, first=RECORD_AGAIN, cap=OUTAGE_SECONDS)
                in_time = time.monotonic() + pause < end
                if kind.call is None or not (in_time and is_transient(error)):
                    raise
                log.warning("recording_again", key=task.key, attempts=task.attempts, reason=reason_of(error))
            await asyncio.sleep(pause)
        self._wake_group_of(task)

    def _wake_group_of(self, task: Task) -> None:
        """The next one may begin."""
        if task.group is not None:
            self._scheduled.notify()

    async def _failed(self, kind: TaskKind[U], task: Task, error: Exception) -> tuple[Ending, str]:
        """Bury the task or postpone it; returns which, and why."""
        reason = reason_of(error)
        try:
            if not is_transient(error) and kind.gives_up is not None and kind.gives_up(error, task.attempts):
                await self._bury(kind, task, reason)
                self._wake_group_of(task)
                log.error("task_dead_lettered", attempts=task.attempts, reason=reason)
                set_failure(error, outcome := f"dead letter: {reason}")
                return "dead_lettered", outcome
            delay = retry_delay(task.attempts, retry_after=getattr(error, "retry_after", None))
            await self._queue.postpone(task, delay, reason)
            self._scheduled.wake()  # whoever waits knows nothing of the new time
            log.warning("task_postponed", attempts=task.attempts, seconds=delay.total_seconds(), reason=reason)
            set_failure(error, outcome := f"postponed: {reason}")
        except LeaseLostError:
            log.warning("lease_lost", key=task.key, attempts=task.attempts)
            set_failure(error, outcome := f"lease lost: {reason}")
            return "lease_lost", outcome
        except Exception as failure:
            if not is_transient(failure):
                raise
            # the lease ends by itself, and then the task is claimed again
            log.warning("postpone_failed", attempts=task.attempts, error=repr(failure))
            set_failure(error, outcome := f"left to the end of its lease: {reason}")
        return "postponed", outcome

    async def _bury(self, kind: TaskKind[U], task: Task, reason: str) -> None:
        async with self._unit_of_work() as uow:
            await self._queue.bury(task, reason, uow)
            if kind.abandon is not None:
                await kind.abandon(task, uow)


def _said_of(task: Task) -> dict[str, str | int]:
    said: dict[str, str | int] = {
        names.TASK_KIND: task.kind,
        names.TASK_KEY: task.key,
        names.TASK_ATTEMPTS: task.attempts,
    }
    return said if task.group is None else {**said, names.TASK_GROUP: task.group}


@failpoint("task.call")
async def _call(kind: TaskKind[Any], task: Task, seconds: float) -> object:
    if kind.call is None:
        return None
    if seconds <= 0:
        raise TransientError("the process was held up for longer than the call may take")
    call = asyncio.ensure_future(kind.call(task))
    try:
        # an event loop that is late finds the time over and the answer there: the answer counts
        for patience in (seconds, IF_THE_ANSWER_IS_THERE):
            await asyncio.wait({call}, timeout=patience)
            if call.done():
                return call.result()
    finally:
        if not call.done():
            call.cancel()
            await asyncio.wait({call})
    if call.cancelled():
        raise TimeoutError(f"no answer within {kind.limit.total_seconds():g} s")
    return call.result()


async def _cancel(running: set[asyncio.Task[None]]) -> None:
    """Cancel the calls that outlast the grace; when their leases end, other workers claim the tasks."""
    for task in running:
        task.cancel()
    with anyio.CancelScope(shield=True):
        await asyncio.gather(*running, return_exceptions=True)


async def _places(kind: TaskKind[Any], running: set[asyncio.Task[None]]) -> None:
    """Wait until half of the kind's places are free; for no longer than CLAIM_AFTER once one is."""
    end: float | None = None
    while 2 * len(running) > kind.concurrency:
        if len(running) < kind.concurrency:
            end = time.monotonic() + CLAIM_AFTER if end is None else end
            if time.monotonic() >= end:
                return
        await asyncio.wait(running, timeout=end and end - time.monotonic(), return_when=asyncio.FIRST_COMPLETED)
        _forget_done(running)


def _forget_done(running: set[asyncio.Task[None]]) -> None:
    """Forget the tasks that have ended. Raises what one of them raised."""
    for task in [task for task in running if task.done()]:
        running.discard(task)
        task.result()
