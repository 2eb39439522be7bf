"""Outcomes of calls become transactions: those that come while one runs share the next one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from outboxed.failpoints import failpoint
from outboxed.messages import reason_of
from outboxed.ports import UnitOfWork, UnitOfWorkFactory
from outboxed.storage import is_transient
from outboxed.tasks._queue import LeaseLostError, Task, TaskKind, TaskQueue
from outboxed.telemetry import Trace, current_trace

log = structlog.get_logger()

U = TypeVar("U", bound=UnitOfWork)


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

    async def record(self, task: Task, value: object) -> None:
        """Return when the outcome is committed. Raises LeaseLostError, and whatever the kind's `record` raises."""
        own = _Outcome(task, value)
        self._waiting.append(own)
        try:
            async with self._lock:
                if not own.settled:
                    await self._settle(tuple(self._waiting))
        finally:
            if own in self._waiting:
                self._waiting.remove(own)
        if own.error is not None:
            raise own.error

    async def _settle(self, outcomes: Sequence[_Outcome]) -> None:
        """Record together, else one by one; whoever cancels this leaves the others waiting for the next one."""
        try:
            await self._record(outcomes)
        except Exception as error:  # noqa: BLE001 - each waiting task is told
            if len(outcomes) > 1 and not is_transient(error):
                log.warning("records_refused", task=self._kind.name, outcomes=len(outcomes), reason=reason_of(error))
                for outcome in outcomes:
                    await self._settle([outcome])
                return
            for outcome in outcomes:
                outcome.error = error
        for outcome in outcomes:
            outcome.settled = True
            self._waiting.remove(outcome)

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
            if outcome.task.id not in leased:
                outcome.error = LeaseLostError(f"{outcome.task.kind} {outcome.task.key}")
