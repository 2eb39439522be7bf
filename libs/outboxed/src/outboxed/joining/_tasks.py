"""The tasks of a project of one's own: scheduled in its own transactions, done by a worker beside it."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic_core import to_jsonable_python
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from outboxed._traceparent import current_traceparent
from outboxed.joining._handlers import Sessions, opener_of
from outboxed.joining._running import (
    AnyEngine,
    AsyncTransaction,
    Committed,
    SyncTransaction,
    asynchronous,
    in_background,
)
from outboxed.messages import MAX_KEY_BYTES, unstorable
from outboxed.ports import NewTask
from outboxed.storage import Clock, SchedulingStatements, Steps, run_steps, run_steps_sync, tables
from outboxed.tasks import SqlTaskQueue, Task, TaskKind, TaskStatements, Worker

LIMIT = timedelta(seconds=10)
CONCURRENCY = 8
NOW = timedelta(0)

Call = TypeVar("Call", bound=Callable[[Task], Any])
Record = Callable[[Task, Any, Any], Awaitable[None] | None]
"""`record(task, outcome, session)`: writes what came of a call, in the transaction that takes the task out."""
Due = TypeVar("Due", bound=Callable[[Task, Any], Any])
Abandon = Callable[[Task, Any], Awaitable[None] | None]
"""`abandon(task, session)`: writes that a task was given up, in the transaction that makes it a dead letter."""
GivesUp = Callable[[Exception, int], bool]
"""`gives_up(error, attempts)`: whether a task is given up after so many attempts, the last of which had this error."""


class Tasks:
    """Calls to the outside and deadlines: done if, and only if, the transaction commits that scheduled them.

    A task is done at least once: after a crash its call may come again, so give it an idempotency key, such as
    `task.key`. What comes of it is written once, in the transaction that takes the task out of the table.

    The tables are made in `metadata`, so that the project's alembic makes and keeps them; without it in a MetaData of
    their own, `tasks.metadata`. Their names are `prefix` and `tasks` or `dead_letters`, unless `table` or
    `dead_letters_table` names one; `schema` is the MetaData's unless given. Raises ValueError for a name over 40
    characters.
    """

    def __init__(
        self,
        *,
        metadata: sa.MetaData | None = None,
        schema: str | None = None,
        prefix: str = "outboxed_",
        table: str | None = None,
        dead_letters_table: str | None = None,
    ) -> None:
        self.metadata = sa.MetaData() if metadata is None else metadata
        self.table = tables.tasks_in(self.metadata, table or f"{prefix}tasks", schema)
        self.dead_letters = tables.dead_letters_in(self.metadata, dead_letters_table or f"{prefix}dead_letters", schema)
        self._statements = TaskStatements(self.table, self.dead_letters)
        self._scheduled = SchedulingStatements(self.table)
        self._kinds: dict[str, TaskKind[_Joined]] = {}
        self._committed = Committed()

    def call(  # noqa: PLR0913 - each is one word of a kind's own
        self,
        kind: str,
        *,
        record: Record | None = None,
        limit: timedelta = LIMIT,
        concurrency: int = CONCURRENCY,
        gives_up: GivesUp | None = None,
        abandon: Abandon | None = None,
    ) -> Callable[[Call], Call]:
        """Say how tasks of a kind are done: `call(task)` makes the call to the outside, without a transaction.

        An error postpones the task, by half a second at first and a minute at most, until it is done or `gives_up` says
        that it becomes a dead letter; an error of the database or a time-out never does. A call has `limit`, and each
        process makes `concurrency` calls of the kind at a time. A `def` runs in a thread, which nobody can interrupt:
        give its client a time-out below `limit`. The function stays as it is. Raises ValueError for a kind that is
        there.
        """

        def known(call: Call) -> Call:
            self._add(
                TaskKind(
                    kind,
                    record=_recording(record),
                    call=_as_async(call),
                    limit=limit,
                    concurrency=concurrency,
                    gives_up=gives_up,
                    abandon=None if abandon is None else _abandoning(abandon),
                )
            )
            return call

        return known

    def deadline(self, kind: str, *, concurrency: int = CONCURRENCY) -> Callable[[Due], Due]:
        """Say what happens when a task of a kind is due: `due(task, session)`, in the transaction that takes it out.

        An error postpones it, and it never becomes a dead letter. Raises ValueError for a kind that is there.
        """

        def known(due: Due) -> Due:
            self._add(TaskKind(kind, record=_at_deadline(due), concurrency=concurrency))
            return due

        return known

    async def schedule(  # noqa: PLR0913 - a task has that many parts
        self,
        session: AsyncTransaction,
        kind: str,
        *,
        key: object,
        payload: object = None,
        delay: timedelta = NOW,
        group: object = None,
    ) -> None:
        """Write a task into the session's transaction, unless one of this kind and key waits already.

        `payload` is a mapping, a dataclass or a pydantic model; the task has it as JSON. Tasks of one `group` are done
        one at a time, in their order. Raises ValueError for a kind that nobody has declared and for what PostgreSQL
        can't hold, TaskConflictError if the one that waits has another payload or group, and ConfigurationError as
        `Outbox.publish` does.
        """
        steps = self._steps(kind, key, payload, delay, group)
        await run_steps(await self._committed.joined(session, self._scheduled.sql), steps)

    def schedule_sync(  # noqa: PLR0913 - as above
        self,
        session: SyncTransaction,
        kind: str,
        *,
        key: object,
        payload: object = None,
        delay: timedelta = NOW,
        group: object = None,
    ) -> None:
        """The same for a session that isn't asynchronous."""
        steps = self._steps(kind, key, payload, delay, group)
        run_steps_sync(self._committed.joined_sync(session, self._scheduled.sql), steps)

    @asynccontextmanager
    async def worker(self, engine: AnyEngine, sessions: Sessions | None = None) -> AsyncIterator[None]:
        """Do tasks while the block runs, as in an app's lifespan, in any number of processes.

        `engine` is as for `Outbox.relay`. `sessions` opens what `record` and deadlines get, by default a plain session
        on the engine. No error ends the block. One that nobody foresaw is logged, and the worker begins again after
        five seconds.
        """
        async with self._worker(engine, sessions) as worker, in_background(worker, self._committed, name="worker"):
            yield

    async def run_due(self, engine: AnyEngine, sessions: Sessions | None = None) -> int:
        """Do each task once that is due now, one after the other: for tests, and for a cron job. Returns their number.

        What fails, and what a task schedules, is for the next time.
        """
        async with asynchronous(engine) as own:
            async with own.connect() as connection:
                due_by = (await connection.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
            # one at a time: the lease of one that waits for others would end
            kinds = [replace(kind, concurrency=1) for kind in self._kinds.values()]
            queue = SqlTaskQueue(own, Clock(), self._statements, due_by=due_by)
            worker = self._worker_of(kinds, queue, sessions or _sessions_on(engine, own))
            number = 0
            while done := await worker.run_due():
                number += done
            return number

    @asynccontextmanager
    async def _worker(self, engine: AnyEngine, sessions: Sessions | None) -> "AsyncIterator[Worker[_Joined]]":
        async with asynchronous(engine) as own:
            queue = SqlTaskQueue(own, Clock(), self._statements)
            yield self._worker_of(list(self._kinds.values()), queue, sessions or _sessions_on(engine, own))

    def _worker_of(
        self, kinds: "Sequence[TaskKind[_Joined]]", queue: SqlTaskQueue, sessions: Sessions
    ) -> "Worker[_Joined]":
        return Worker(kinds, queue, _Transactions(opener_of(sessions)), self._committed.wakeup)

    def scheduling(self, tasks: Sequence[tuple[NewTask, str | None]]) -> Steps[None]:
        """The statements that schedule tasks, each with its trace."""
        return self._scheduled.scheduling(tasks, NOW)

    def _add(self, kind: "TaskKind[_Joined]") -> None:
        if kind.name in self._kinds:
            raise ValueError(f"there is a kind of tasks named {kind.name!r} already")
        self._kinds[kind.name] = kind

    def _steps(self, kind: str, key: object, payload: object, delay: timedelta, group: object) -> Steps[None]:
        if kind not in self._kinds:
            known = ", ".join(sorted(self._kinds)) or "none"
            raise ValueError(f"nobody has declared tasks of the kind {kind!r} here; known are: {known}")
        made = {} if payload is None else to_jsonable_python(payload)
        if not isinstance(made, Mapping):
            raise TypeError(f"a task's payload is a mapping, a dataclass or a model, not a {type(payload).__name__}")
        task = NewTask(kind, str(key), made, delay, None if group is None else str(group))
        _check(task)
        return self.scheduling([(task, current_traceparent())])


def _check(task: NewTask) -> None:
    """Refuse what PostgreSQL would refuse, and so end the caller's transaction."""
    for part, text in (("key", task.key), ("group", task.group or "")):
        if problem := unstorable(text):
            raise ValueError(f"a task's {part} {problem}, which PostgreSQL can't hold")
        if len(text.encode()) > MAX_KEY_BYTES:
            raise ValueError(f"a task's {part} has {len(text.encode())} bytes, the limit is {MAX_KEY_BYTES}")
    if problem := next(filter(None, map(unstorable, _leaves(task.payload))), None):
        raise ValueError(f"a task's payload {problem}, which PostgreSQL can't hold")


def _leaves(value: object) -> Iterator[object]:
    """The texts and the fractions of JSON; of its integers each fits."""
    if isinstance(value, str | float):
        yield value
    elif isinstance(value, Mapping):
        for each in (*value, *value.values()):
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)


@dataclass(frozen=True)
class _Joined:
    """A project's session as the unit of work of a worker."""

    connection: AsyncSession | Session

    async def lock(self, keys: Sequence[str]) -> None:
        """Nothing: the project locks what it reads."""


@dataclass(frozen=True)
class _Transactions:
    """Opens a project's sessions; satisfies ports.UnitOfWorkFactory."""

    open: Callable[[], Any]

    def __call__(self, *, reading: bool = False) -> AbstractAsyncContextManager[_Joined]:
        """See ports.UnitOfWorkFactory; no kind of a project's reads."""
        assert not reading  # noqa: S101
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[_Joined]:
        opened = self.open()
        if isinstance(opened, AbstractAsyncContextManager):
            async with opened as session:
                yield _Joined(session)
                await session.commit()
        else:
            async with _in_thread(opened) as session:
                yield _Joined(session)
                await asyncio.to_thread(session.commit)


@asynccontextmanager
async def _in_thread(opened: AbstractContextManager[Session]) -> AsyncIterator[Session]:
    session = await asyncio.to_thread(opened.__enter__)
    try:
        yield session
    except BaseException as error:
        await asyncio.to_thread(opened.__exit__, type(error), error, error.__traceback__)
        raise
    await asyncio.to_thread(opened.__exit__, None, None, None)


def _sessions_on(engine: AnyEngine, own: AsyncEngine) -> Sessions:
    return sessionmaker(engine) if isinstance(engine, sa.Engine) else async_sessionmaker(own, expire_on_commit=False)


def _as_async(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """A `def` runs in a thread; where it returns something to wait for, that is awaited here.

    Such a one is what a decorator makes of an `async def`, or a lambda that calls one.
    """
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004 - an object's own
        return function

    async def called(*args: Any) -> Any:
        returned = await asyncio.to_thread(function, *args)
        return await returned if inspect.isawaitable(returned) else returned

    return called


def _recording(record: Record | None) -> Callable[[Task, Any, _Joined], Awaitable[None]]:
    own = None if record is None else _as_async(record)

    async def recorded(task: Task, outcome: Any, joined: _Joined) -> None:
        if own is not None:
            await own(task, outcome, joined.connection)

    return recorded


def _at_deadline(due: Callable[[Task, Any], Any]) -> Callable[[Task, Any, _Joined], Awaitable[None]]:
    own = _as_async(due)

    async def recorded(task: Task, outcome: Any, joined: _Joined) -> None:  # noqa: ARG001 - there was no call
        await own(task, joined.connection)

    return recorded


def _abandoning(abandon: Abandon) -> Callable[[Task, _Joined], Awaitable[None]]:
    own = _as_async(abandon)

    async def abandoned(task: Task, joined: _Joined) -> None:
        await own(task, joined.connection)

    return abandoned
