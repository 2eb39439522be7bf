"""Tasks: outside calls and deadlines, each claimed under a lease, called without a transaction, then recorded."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from outboxed._backoff import backoff
from outboxed.failpoints import failpoint
from outboxed.ports import UnitOfWork
from outboxed.storage import POOL_SECONDS, Clock, SqlUnitOfWork, dump_headers, storable, tables

U = TypeVar("U", bound=UnitOfWork)
U_contra = TypeVar("U_contra", bound=UnitOfWork, contravariant=True)
FIRST_BACKOFF = 0.5
MAX_BACKOFF = 60.0
RECORDING = timedelta(seconds=POOL_SECONDS)
"""The longest time from the end of a call to the first statement of its recording: the wait for a connection."""


@dataclass(frozen=True)
class Task:
    """A claimed task; `attempts` includes this attempt, `now` is the database's time of the claim."""

    id: int
    kind: str
    key: str
    payload: Mapping[str, Any]
    attempts: int
    token: UUID
    now: datetime
    group: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True)
class TaskKind(Generic[U]):
    """How tasks of one kind are done.

    `call` reads the state again and makes the outside call, without a transaction and within `limit`. A deadline has
    no call. `record` applies the call's outcome (None without a call) in the transaction that deletes the task.
    `gives_up` says whether an error makes the task a dead letter (by default none does, and a transient one never);
    `abandon` then records the failure. `concurrency` is per process. Logs and traces show a task's group, or its key,
    as `log_as`.
    """

    name: str
    record: Callable[[Task, Any, U], Awaitable[None]]
    call: Callable[[Task], Awaitable[Any]] | None = None
    limit: timedelta = timedelta(seconds=10)
    concurrency: int = 8
    gives_up: Callable[[Exception, int], bool] | None = None
    abandon: Callable[[Task, U], Awaitable[None]] | None = None
    log_as: str = "key"

    @property
    def lease(self) -> timedelta:
        """The time of a call and of the wait for a connection to record its outcome; a killed worker costs no more.

        The recording may outlast the lease: its first statement locks the task's row, and a claim skips locked rows. A
        worker whose task was claimed again before that statement writes nothing (LeaseLostError). Its call may have
        happened: give each call an idempotency key, by which the outside recognises a second call as the first one.
        """
        return self.limit + RECORDING


class LeaseLostError(Exception):
    """Another worker has the task now; this worker must write nothing for it."""


class TaskQueue(Protocol[U_contra]):
    """The tasks as a worker sees them."""

    async def claim(self, kind: str, *, limit: int, lease: timedelta) -> list[Task]:
        """Claim due tasks, oldest first; of a group only its oldest task, and only if no worker has that one."""
        ...

    async def complete(self, task: Task, uow: U_contra) -> None:
        """Delete the task in this transaction. Raises LeaseLostError."""
        ...

    async def postpone(self, task: Task, delay: timedelta, error: str) -> None:
        """Give the task back, due after `delay`. Raises LeaseLostError."""
        ...

    async def bury(self, task: Task, error: str, uow: U_contra) -> None:
        """Make the task a dead letter in this transaction. Raises LeaseLostError."""
        ...


def retry_delay(attempts: int, *, retry_after: float | None = None) -> timedelta:
    """Half a second to a minute, and at least `retry_after` seconds, of which no more than a minute counts."""
    seconds = backoff(attempts, first=FIRST_BACKOFF, cap=MAX_BACKOFF)
    return timedelta(seconds=max(seconds, min(retry_after or 0.0, MAX_BACKOFF)))


class SqlTaskQueue:
    """The tasks table; every time is computed in SQL."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    @failpoint("task.claim")
    async def claim(self, kind: str, *, limit: int, lease: timedelta) -> list[Task]:
        """See TaskQueue."""
        table, older = tables.tasks, tables.tasks.alias("older")
        now = self._now()
        behind = sa.exists().where(older.c.task_group == table.c.task_group, older.c.id < table.c.id)
        due = (
            sa.select(table.c.id)
            .where(table.c.kind == kind, table.c.due_at <= now)
            .where(sa.or_(table.c.leased_until.is_(None), table.c.leased_until <= now))
            .where(sa.or_(table.c.task_group.is_(None), ~behind))
            .order_by(table.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        claim = (
            sa.update(table)
            .where(table.c.id.in_(sa.select(due.c.id)))
            .values(attempts=table.c.attempts + 1, leased_until=now + lease, lease_token=sa.func.gen_random_uuid())
            .returning(table, now.label("now"))
        )
        async with self._engine.begin() as connection:
            rows = (await connection.execute(claim)).mappings().all()
        return [_task(row) for row in sorted(rows, key=lambda row: row["id"])]

    @failpoint("task.complete")
    async def complete(self, task: Task, uow: SqlUnitOfWork) -> None:
        """See TaskQueue."""
        table = tables.tasks
        delete = sa.delete(table).where(table.c.id == task.id, table.c.lease_token == task.token)
        if (await uow.connection.execute(delete.returning(table.c.id))).first() is None:
            raise LeaseLostError(f"{task.kind} {task.key}")

    @failpoint("task.postpone")
    async def postpone(self, task: Task, delay: timedelta, error: str) -> None:
        """See TaskQueue."""
        table = tables.tasks
        update = (
            sa.update(table)
            .where(table.c.id == task.id, table.c.lease_token == task.token)
            .values(due_at=self._now() + delay, leased_until=None, lease_token=None, last_error=storable(error)[:1000])
            .returning(table.c.id)
        )
        async with self._engine.begin() as connection:
            if (await connection.execute(update)).first() is None:
                raise LeaseLostError(f"{task.kind} {task.key}")

    @failpoint("task.bury")
    async def bury(self, task: Task, error: str, uow: SqlUnitOfWork) -> None:
        """See TaskQueue."""
        await self.complete(task, uow)
        await uow.connection.execute(sa.insert(tables.dead_letters).values(_dead_letter(task, error)))

    def _now(self) -> sa.ColumnElement[datetime]:
        # a subquery is computed once; the bare function is computed for each row, and then no index is used
        return sa.select(sa.func.clock_timestamp() + self._clock.offset).scalar_subquery()


def _dead_letter(task: Task, error: str) -> dict[str, object]:
    """The letter's topic is the task's kind, its headers are the task's group and trace."""
    headers = (("group", task.group), ("traceparent", task.traceparent))
    return {
        "source": "task",
        "topic": task.kind,
        "key": task.key.encode(),
        "value": json.dumps(dict(task.payload)).encode(),
        "headers": dump_headers([(name, value.encode()) for name, value in headers if value]),
        "reason": storable(error),
        "failed_at": task.now,
    }


def _task(row: sa.RowMapping) -> Task:
    return Task(
        id=row["id"],
        kind=row["kind"],
        key=row["key"],
        payload=row["payload"],
        attempts=row["attempts"],
        token=row["lease_token"],
        now=row["now"],
        group=row["task_group"],
        traceparent=row["traceparent"],
    )
