"""Tasks: outside calls and deadlines, each claimed under a lease, called without a transaction, then recorded."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.dml import ReturningDelete, ReturningUpdate

from outboxed._backoff import backoff
from outboxed.failpoints import failpoint
from outboxed.ports import Locks
from outboxed.storage import (
    POOL_SECONDS,
    Clock,
    Statement,
    Transaction,
    UnnestedRows,
    column_types,
    dump_headers,
    rows_in,
    single_statements,
    storable,
    tables,
)

U = TypeVar("U", bound=Locks)
U_contra = TypeVar("U_contra", bound=Locks, contravariant=True)
FIRST_BACKOFF = 0.5
MAX_BACKOFF = 60.0
ERROR_CHARACTERS = 1000
"""So much is kept of the error of the last attempt."""
RECORDING = timedelta(seconds=POOL_SECONDS)
"""The longest time from the end of a call to the first statement of its recording: the wait for a connection."""


NOT_READ = object()


@dataclass(frozen=True)
class Task:
    """A claimed task; `attempts` includes this attempt, `now` is the database's time of the claim.

    `due_for` is in seconds since it was first due.
    `state` is what its kind's `read` found.
    """

    id: int
    kind: str
    key: str
    payload: Mapping[str, Any]
    attempts: int
    token: UUID
    now: datetime
    due_for: float = 0.0
    group: str | None = None
    traceparent: str | None = None
    state: Any = NOT_READ


@dataclass(frozen=True)
class TaskKind(Generic[U]):
    """How tasks of one kind are done.

    `read` looks at the state of the tasks that were claimed together, in a unit of work opened for reading, and returns
    what it found, one value a task in their order. `call` makes the outside call, without a transaction; reading and
    calling have `limit`. A deadline has no call. `record` applies the call's outcome (None without a call) in the
    transaction that deletes the task. Outcomes that come at one time share a transaction, and `locks` names the event
    key of the aggregate that each of them changes, so that all are locked by one statement. What one of them can't
    record harms no other: each is then recorded by itself.

    `gives_up` says whether an error makes the task a dead letter (by default none does, and a transient one never);
    `abandon` then records the failure. `concurrency` is per process. Logs and traces show a task's group, or its key,
    as `log_as`.
    """

    name: str
    record: Callable[[Task, Any, U], Awaitable[None]]
    call: Callable[[Task], Awaitable[Any]] | None = None
    read: Callable[[Sequence[Task], U], Awaitable[Sequence[Any]]] | None = None
    locks: Callable[[Task], str] | None = None
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

    async def next_due_in(self, kind: str) -> float:
        """Seconds until a task of the kind is due or its lease ends; infinity if none waits, 0 or less if one is."""
        ...

    async def complete(self, tasks: Sequence[Task], uow: U_contra) -> Sequence[Task]:
        """Delete tasks in this transaction; returns those that were deleted. The leases of the others are lost."""
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


_OFFSET = sa.bindparam("offset", type_=sa.Interval())
# a subquery is computed once; the bare function is computed for each row, and then no index is used
_NOW = sa.select(sa.func.clock_timestamp() + _OFFSET).scalar_subquery()
_LEASED = UnnestedRows(column_types(tables.tasks, ["id", "lease_token"]), alias="leased")
_SHORTER = "500ms"
_LETTER = ("source", "topic", "key", "value", "headers", "reason", "failed_at")


_DUE_BY = sa.bindparam("due_by", type_=sa.DateTime(timezone=True))


def _claim(table: sa.Table, due_by: sa.ColumnElement[datetime] | sa.ScalarSelect[datetime]) -> ReturningUpdate[Any]:
    older = table.alias("older")
    behind = sa.exists().where(older.c.task_group == table.c.task_group, older.c.id < table.c.id)
    due = (
        sa.select(table.c.id)
        .where(table.c.kind == sa.bindparam("of_kind"), table.c.due_at <= due_by)
        .where(sa.or_(table.c.leased_until.is_(None), table.c.leased_until <= _NOW))
        .where(sa.or_(table.c.task_group.is_(None), ~behind))
        .order_by(table.c.due_at)
        .limit(sa.bindparam("most", type_=sa.Integer()))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    leased_until = _NOW + sa.bindparam("lease", type_=sa.Interval())
    return (
        sa.update(table)
        .where(table.c.id.in_(sa.select(due.c.id)))
        .values(attempts=table.c.attempts + 1, leased_until=leased_until, lease_token=sa.func.gen_random_uuid())
        .returning(table, _NOW.label("now"))
    )


def _next_due_in(table: sa.Table) -> sa.Select[Any]:
    of_kind = sa.select(table).where(table.c.kind == sa.bindparam("of_kind"))
    later = of_kind.where(table.c.due_at > _NOW).with_only_columns(sa.func.min(table.c.due_at)).scalar_subquery()
    free_at = sa.func.coalesce(table.c.leased_until, table.c.due_at)
    ends = of_kind.where(table.c.due_at <= _NOW).with_only_columns(sa.func.min(free_at)).scalar_subquery()
    seconds = sa.func.extract("epoch", sa.func.least(later, ends) - _NOW)
    return sa.select(sa.func.coalesce(seconds, sa.literal_column("'infinity'")))


def _delete(table: sa.Table) -> ReturningDelete[Any]:
    leased = _LEASED.table
    is_leased = (table.c.id == leased.c.id) & (table.c.lease_token == leased.c.lease_token)
    return sa.delete(table).where(is_leased).returning(table.c.id)


def _delete_many(table: sa.Table) -> ReturningDelete[Any]:
    """What waits for somebody's lock alone must not keep the others for as long: this transaction waits less."""
    waits_less = sa.select(sa.func.set_config("lock_timeout", _SHORTER, sa.true())).scalar_subquery()
    return _delete(table).where(waits_less == _SHORTER)


def _postpone(table: sa.Table) -> ReturningUpdate[Any]:
    due_at = _NOW + sa.bindparam("delay", type_=sa.Interval())
    return (
        sa.update(table)
        .where(table.c.id == sa.bindparam("of_id"), table.c.lease_token == sa.bindparam("token"))
        .values(due_at=due_at, leased_until=None, lease_token=None, last_error=sa.bindparam("error", type_=sa.Text()))
        .returning(table.c.id)
    )


class TaskStatements:
    """What is done with tasks and their dead letters; the statements are made once for a table."""

    def __init__(self, table: sa.Table, dead_letters: sa.Table) -> None:
        self.claim = Statement(_claim(table, _NOW))
        self.claim_due_by = Statement(_claim(table, _DUE_BY))
        self.next_due_in = Statement(_next_due_in(table))
        self.delete = Statement(_delete(table))
        self.delete_many = Statement(_delete_many(table))
        self.postpone = Statement(_postpone(table))
        letter = {name: sa.bindparam(name, type_=dead_letters.c[name].type) for name in _LETTER}
        self.bury = Statement(sa.insert(dead_letters).values(letter))


_OF_THE_SERVICE = TaskStatements(tables.tasks, tables.dead_letters)


class InTransaction(Locks, Protocol):
    """A unit of work on a transaction of anybody's."""

    @property
    def connection(self) -> Transaction: ...


class SqlTaskQueue:
    """The tasks table; every time is computed in SQL. With `due_by` only what was due by then is claimed."""

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        statements: TaskStatements = _OF_THE_SERVICE,
        *,
        due_by: datetime | None = None,
    ) -> None:
        self._engine = single_statements(engine)
        self._clock = clock
        self._statements = statements
        self._claim = statements.claim if due_by is None else statements.claim_due_by
        self._due_by = {} if due_by is None else {"due_by": due_by}

    @failpoint("task.claim")
    async def claim(self, kind: str, *, limit: int, lease: timedelta) -> list[Task]:
        """See TaskQueue."""
        values = {"of_kind": kind, "most": limit, "lease": lease, "offset": self._clock.offset, **self._due_by}
        async with self._engine.begin() as connection:
            rows = await self._claim.mappings(connection, values)
        return [_task(row) for row in sorted(rows, key=lambda row: row["id"])]

    async def next_due_in(self, kind: str) -> float:
        """See TaskQueue."""
        async with self._engine.begin() as connection:
            values = {"of_kind": kind, "offset": self._clock.offset}
            (seconds,) = await self._statements.next_due_in.values(connection, values)
        return float(seconds)

    @failpoint("task.complete")
    async def complete(self, tasks: Sequence[Task], uow: InTransaction) -> Sequence[Task]:
        """See TaskQueue."""
        delete = self._statements.delete_many if len(tasks) > 1 else self._statements.delete
        leased = _LEASED.values([{"id": task.id, "lease_token": task.token} for task in tasks])
        deleted = {key for (key,) in await rows_in(uow.connection, delete, leased)}
        return [task for task in tasks if task.id in deleted]

    @failpoint("task.postpone")
    async def postpone(self, task: Task, delay: timedelta, error: str) -> None:
        """See TaskQueue."""
        values = {"of_id": task.id, "token": task.token, "delay": delay, "error": storable(error)[:ERROR_CHARACTERS]}
        async with self._engine.begin() as connection:
            if not await self._statements.postpone.rows(connection, {**values, "offset": self._clock.offset}):
                raise LeaseLostError(f"{task.kind} {task.key}")

    @failpoint("task.bury")
    async def bury(self, task: Task, error: str, uow: InTransaction) -> None:
        """See TaskQueue."""
        if not await self.complete([task], uow):
            raise LeaseLostError(f"{task.kind} {task.key}")
        await rows_in(uow.connection, self._statements.bury, _dead_letter(task, error))


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


def _task(row: Mapping[str, Any]) -> Task:
    return Task(
        id=row["id"],
        kind=row["kind"],
        key=row["key"],
        payload=row["payload"],
        attempts=row["attempts"],
        token=row["lease_token"],
        now=row["now"],
        due_for=(row["now"] - row["first_due_at"]).total_seconds(),
        group=row["task_group"],
        traceparent=row["traceparent"],
    )
