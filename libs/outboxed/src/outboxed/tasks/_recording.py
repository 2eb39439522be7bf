"""Outcomes of calls become transactions: those that come while one runs share the next one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from outboxed.failpoints import failpoint
from outboxed.messages import reason_of
from outboxed.ports import Locks, UnitOfWorkFactory
from outboxed.tasks._queue import LeaseLostError, Task, TaskKind, TaskQueue
from outboxed.telemetry import Trace, current_trace

log = structlog.get_logger()

U = TypeVar("U", bound=Locks)


@dataclass(eq=False)
class _Outcome:
    task: Task
    value: object
    trace: Trace = field(default_factory=current_trace)
    settled: bool = False
    error: Exception | None = None


class Recording(Generic[U]):
    """Records the outcomes of one kind of tasks.

    An outcome that comes alone is recorded at once. Nothing waits to fill a batch.
    """

    def __init__(self, kind: TaskKind[U], queue: TaskQueue[U], unit_of_work: UnitOfWorkFactory[U]) -> None:
        self._kind = kind
        self._queue = queue
        self._unit_of_work = unit_of_work
        self._lock = asyncio.Lock()
        self._waiting: list[_Outcome] = []

    async def record(self, task: Task, value: object, *, alone: bool = False) -> None:
        """Return when the outcome is committed. Raises LeaseLostError, and whatever the kind's `record` raises.

        With `alone` it waits for nobody. So is an outcome recorded whose shared transaction failed, for whatever
        reason: what is wrong with one harms no other.
        """
        own = _Outcome(task, value)
        if not alone:
            await self._share(own)
        if not own.settled:
            await self._record([own])
        if own.error is not None:
            raise own.error

    async def _share(self, own: _Outcome) -> None:
        self._waiting.append(own)
        try:
            async with self._lock:
                if own in self._waiting:
                    await self._record_together(tuple(self._waiting))
        finally:
            if own in self._waiting:  # cancelled: the others wait for the next one
                self._waiting.remove(own)

    async def _record_together(self, outcomes: Sequence[_Outcome]) -> None:
        try:
            await self._record(outcomes)
        except Exception as error:  # noqa: BLE001 - each has its own error, or none
            if len(outcomes) == 1:
                outcomes[0].settled, outcomes[0].error = True, error
            else:
                log.warning("records_refused", task=self._kind.name, outcomes=len(outcomes), reason=reason_of(error))
        self._waiting = [each for each in self._waiting if each not in outcomes]

    @failpoint("task.record")
    async def _record(self, outcomes: Sequence[_Outcome]) -> None:
        async with self._unit_of_work() as uow:
            leased = {task.id for task in await self._queue.complete([outcome.task for outcome in outcomes], uow)}
            owned = [outcome for outcome in outcomes if outcome.task.id in leased]
            if self._kind.locks is not None:
                await uow.lock([self._kind.locks(outcome.task) for outcome in owned])
            for outcome in owned:
                with outcome.trace.resumed():
                    await self._kind.record(outcome.task, outcome.value, uow)
        for outcome in outcomes:
            outcome.settled = True
            if outcome.task.id not in leased:
                outcome.error = LeaseLostError(f"{outcome.task.kind} {outcome.task.key}")
