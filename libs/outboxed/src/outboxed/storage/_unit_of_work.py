"""The SQL transaction: aggregates, outbox, tasks, inbox and dead letters commit together or not at all."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Generic, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outboxed._traceparent import current_traceparent
from outboxed._wakeups import SAFETY_SECONDS, Wakeup
from outboxed.errors import WrittenWhileReadingError
from outboxed.failpoints import failpoint
from outboxed.messages import Event, OutgoingRecord, encode_versions
from outboxed.ports import EventDeadLetter, NewTask
from outboxed.storage import tables
from outboxed.storage._clock import Clock, DatabaseTime
from outboxed.storage._inbox import SqlInbox
from outboxed.storage._letters import insertion_of
from outboxed.storage._scheduling import SchedulingStatements, rows_of_tasks
from outboxed.storage._statements import (
    Statement,
    UnnestedRows,
    column_types,
    run_steps,
    single_statements,
)
from outboxed.storage._writes import Write, WriteForm, write

NEXT_LOOK = timedelta(seconds=SAFETY_SECONDS)
"""A task that is due later is found by a worker that nobody woke."""


class PendingEvents:
    """Events that are written to the outbox at the end of the transaction."""

    def __init__(self, source: str, now: datetime) -> None:
        self._source = source
        self._now = now
        self.appended: list[OutgoingRecord] = []

    def append(self, event: Event, *other_versions: Event, sequence: int) -> None:
        """See ports.Events."""
        versions = (event, *other_versions)
        self.appended += encode_versions(
            versions, source=self._source, sequence=sequence, time=self._now, traceparent=current_traceparent()
        )


class PendingTasks:
    """Tasks that are written at the end of the transaction; each continues the trace in which it was scheduled."""

    def __init__(self) -> None:
        self.scheduled: list[tuple[NewTask, str | None]] = []

    def schedule(self, task: NewTask) -> None:
        """See ports.Tasks."""
        self.scheduled.append((task, current_traceparent()))


class SqlDeadLetters:
    """Dead-lettered records that are written at the end of the transaction."""

    def __init__(self) -> None:
        self.added: list[EventDeadLetter] = []
        self.new = 0

    def add(self, letter: EventDeadLetter) -> None:
        """See ports.DeadLetters."""
        self.added.append(letter)


class Written(Protocol):
    """What is written at the end of the transaction, such as a SqlRepository."""

    @property
    def has_changes(self) -> bool: ...
    def writes(self) -> Iterable[Write]: ...


class SqlUnitOfWork:
    """One transaction on one connection; a service's own subclass adds its repositories."""

    def __init__(self, connection: AsyncConnection, *, source: str, clock: Clock, now: datetime) -> None:
        self.connection = connection
        self.now = now
        self.clock = clock
        self.events = PendingEvents(source, now)
        self.tasks = PendingTasks()
        self.inbox = SqlInbox(connection, clock)
        self.dead_letters = SqlDeadLetters()

    def repositories(self) -> Iterable[Written]:
        """What is written at the end, in this order, one for each table; a service overrides this method."""
        return ()

    async def lock(self, keys: Sequence[str]) -> None:
        """See ports.UnitOfWork; a service that consumes events overrides this method."""

    def flush_nothing(self) -> None:
        """The end of a unit that only read. Raises WrittenWhileReadingError if there is anything to write."""
        changed = any(repository.has_changes for repository in self.repositories())
        if changed or self.events.appended or self.tasks.scheduled or self.dead_letters.added:
            raise WrittenWhileReadingError("a unit of work that was opened for reading has something to write")

    async def flush(self) -> None:
        """Write everything in this connection's transaction; whoever calls it commits.

        Aggregates come before events, so that outbox rows are inserted under their locks.
        """
        await self._write(last=False)

    async def finish(self) -> None:
        """Write everything as the last of this unit: what is one statement may be committed by it.

        A class with a `flush` of its own may have more to write than is known here.
        """
        if type(self).flush is SqlUnitOfWork.flush:
            await self._write(last=True)
        else:
            await self.flush()

    @failpoint("transaction.write")
    async def _write(self, *, last: bool) -> None:
        if self.dead_letters.added:  # first: it begins the transaction that the rest is written in
            await self._insert_dead_letters()
        await write(self.connection, list(self._writes()), last=last)

    def _writes(self) -> Iterator[Write]:
        for repository in self.repositories():
            yield from repository.writes()
        if self.events.appended:
            yield Write(_EVENTS, _rows(self.events.appended))
        if self.tasks.scheduled:
            tasks = rows_of_tasks(self.tasks.scheduled, self.clock.offset)
            yield Write(_SCHEDULING.form, tasks, partial(self._some_tasks_wait, tasks))

    async def _some_tasks_wait(self, tasks: Sequence[Mapping[str, object]], _: int) -> None:
        await run_steps(self.connection, _SCHEDULING.checking(tasks))

    @failpoint("dead_letters.insert")
    async def _insert_dead_letters(self) -> None:
        new = insertion_of(tables.dead_letters, self.dead_letters.added, self.now)
        self.dead_letters.new = len((await self.connection.execute(new)).all())


_EVENT_TYPES = column_types(tables.outbox, ["topic", "key", "value", "headers"])
_NEW_EVENTS = UnnestedRows(_EVENT_TYPES, alias="new")


def insertion_into(outbox: sa.Table) -> sa.Executable:
    """The statement that `rows_of` records are the parameters of."""
    return _insertion(outbox, _NEW_EVENTS, sa.true())


def _insertion(outbox: sa.Table, new: UnnestedRows, after: sa.ColumnElement[bool]) -> sa.Insert:
    # ids must follow the order of appending: the relay sends by id
    ordered = sa.select(*new.columns).where(after).order_by(new.table.c.position)
    return sa.insert(outbox).from_select(new.names, ordered)


def rows_of(records: Sequence[OutgoingRecord]) -> dict[str, object]:
    """Records as parameters of an insertion into an outbox."""
    return _NEW_EVENTS.values(_rows(records))


def _rows(records: Sequence[OutgoingRecord]) -> Sequence[Mapping[str, object]]:
    return [vars(record) | {"headers": dict(record.headers)} for record in records]


_EVENTS = WriteForm(
    _EVENT_TYPES, lambda new, after: _insertion(tables.outbox, new, after).returning(tables.outbox.c.id)
)
_SCHEDULING = SchedulingStatements(tables.tasks)
_NOW = Statement(sa.select(sa.func.clock_timestamp()))

U = TypeVar("U", bound=SqlUnitOfWork)


@dataclass
class SqlTransactions(Generic[U]):
    """Opens transactions: `async with transactions() as uow`; satisfies ports.UnitOfWorkFactory.

    `make` is the service's SqlUnitOfWork subclass. `events_appended` is notified after a commit that wrote an outbox
    row, `tasks_scheduled` after one that wrote a task that is due before NEXT_LOOK; both also after an error at the
    end, since a commit without an answer may have happened. `committed` hears of each commit.
    """

    engine: AsyncEngine
    make: Callable[..., U]
    source: str
    clock: Clock = field(default_factory=Clock)
    events_appended: Wakeup = field(default_factory=Wakeup)
    tasks_scheduled: Wakeup = field(default_factory=Wakeup)
    time: DatabaseTime = field(default_factory=DatabaseTime)
    committed: Callable[[U], None] | None = None

    def __call__(self, *, reading: bool = False) -> AbstractAsyncContextManager[U]:
        """See ports.UnitOfWorkFactory."""
        return self._reading() if reading else self._transaction()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[U]:
        async with single_statements(self.engine).connect() as connection:
            uow = await self._begin(connection)
            yield uow
            uow.flush_nothing()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[U]:
        async with self.engine.connect() as connection:  # closing it without a commit rolls back
            uow = await self._begin(connection)
            yield uow
            try:
                await uow.finish()
                await _commit(connection)
            finally:  # a commit without an answer may have happened, and a single statement commits itself
                self._tell(uow)
            if self.committed is not None:
                self.committed(uow)

    def _tell(self, uow: U) -> None:
        if uow.events.appended:
            self.events_appended.notify()
        if any(task.delay < NEXT_LOOK for task, _ in uow.tasks.scheduled):
            self.tasks_scheduled.notify()

    @failpoint("transaction.begin")
    async def _begin(self, connection: AsyncConnection) -> U:
        async def ask() -> datetime:
            asked: datetime
            (asked,) = await _NOW.values(connection, alone=True)
            return asked

        now = await self.time.now(ask) + self.clock.offset
        return self.make(connection, source=self.source, clock=self.clock, now=now)


@failpoint("transaction.commit")
async def _commit(connection: AsyncConnection) -> None:
    await connection.commit()
