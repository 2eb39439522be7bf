"""In-memory adapters of outboxed's ports that behave like the SQL ones, which the parity suites check.

One transaction runs at a time, under a lock, on a copy of the state; a commit replaces the state with the copy. Unique
keys are enforced.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from outboxed._wakeups import Wakeup
from outboxed.errors import TaskConflictError, WrittenWhileReadingError
from outboxed.messages import EventIdentity, OutgoingRecord, Record
from outboxed.ports import EventDeadLetter, NewTask
from outboxed.storage import Aggregate, Clock, ConcurrentInsertError, StaleAggregateError, storable
from outboxed.storage._clock import elapsed
from outboxed.storage._unit_of_work import PendingEvents, PendingTasks
from outboxed.tasks import LeaseLostError, Task
from outboxed.tasks._queue import ERROR_CHARACTERS

A = TypeVar("A", bound=Aggregate)


@dataclass(frozen=True)
class StoredTask:
    """A row of the tasks table."""

    id: int
    new: NewTask
    due_at: datetime
    traceparent: str | None
    attempts: int = 0
    leased_until: datetime | None = None
    token: UUID | None = None
    last_error: str | None = None
    first_due_at: datetime | None = None


@dataclass
class State:
    """Everything that is committed; `tables` belong to the service."""

    outbox: dict[int, OutgoingRecord] = field(default_factory=dict)
    inbox: dict[EventIdentity, datetime] = field(default_factory=dict)
    tasks: dict[tuple[str, str], StoredTask] = field(default_factory=dict)
    dead_letters: dict[tuple[str, Record], EventDeadLetter] = field(default_factory=dict)
    buried_tasks: list[tuple[Task, str]] = field(default_factory=list)
    tables: dict[str, dict[Any, Any]] = field(default_factory=dict)

    def table(self, name: str) -> dict[Any, Any]:
        """The service's own rows by key; values must be immutable."""
        return self.tables.setdefault(name, {})

    def copy(self) -> "State":
        """A copy of every container; the rows themselves are immutable and shared."""
        copied = State(**{name: copy(value) for name, value in vars(self).items()})
        copied.tables = {name: dict(rows) for name, rows in self.tables.items()}
        return copied


class InMemoryRepository(Generic[A]):
    """Aggregates of one table."""

    def __init__(self, rows: dict[UUID, A]) -> None:
        self.rows = rows
        self._committed = dict(rows)

    async def lock(self, ids: Iterable[UUID]) -> None:
        """Nothing to do: only one transaction runs at a time."""

    async def get(self, key: UUID) -> A | None:
        """The aggregate as this transaction sees it."""
        return self.rows.get(key)

    async def find(self, key: UUID) -> A | None:
        """The aggregate as the last transaction left it."""
        return self._committed.get(key)

    async def find_many(self, keys: Iterable[UUID]) -> dict[UUID, A]:
        """Those of the aggregates that the last transactions left."""
        return {key: self._committed[key] for key in keys if key in self._committed}

    def add(self, aggregate: A) -> None:
        """Raises ConcurrentInsertError at once; SQL raises it at the end of the transaction."""
        if aggregate.id in self.rows:
            raise ConcurrentInsertError(str(aggregate.id))
        self.rows[aggregate.id] = aggregate

    def save(self, aggregate: A) -> None:
        """Raises StaleAggregateError unless the version has grown."""
        before = self.rows.get(aggregate.id)
        if before is None or before.version >= aggregate.version:
            raise StaleAggregateError(str(aggregate.id))
        self.rows[aggregate.id] = aggregate


class InMemoryInbox:
    """The inbox."""

    def __init__(self, rows: dict[EventIdentity, datetime], now: datetime) -> None:
        self._rows = rows
        self._now = now

    async def insert(self, events: Iterable[EventIdentity]) -> set[EventIdentity]:
        """See outboxed.ports.Inbox."""
        new = set(events) - self._rows.keys()
        self._rows.update((event, self._now) for event in new)
        return new


class InMemoryDeadLetters:
    """Adds dead letters to the transaction's copy."""

    def __init__(self, rows: dict[tuple[str, Record], EventDeadLetter]) -> None:
        self._rows = rows
        self.new = 0

    def add(self, letter: EventDeadLetter) -> None:
        """See outboxed.ports.DeadLetters."""
        kept = replace(letter, reason=storable(letter.reason))
        self.new += (letter.group, letter.record) not in self._rows
        self._rows.setdefault((letter.group, letter.record), kept)


class InMemoryUnitOfWork:
    """One transaction on a copy of the state; a service's own subclass adds its repositories."""

    def __init__(self, state: State, *, source: str, now: datetime) -> None:
        self.state = state
        self.now = now
        self.events = PendingEvents(source, now)
        self.tasks = PendingTasks()
        self.inbox = InMemoryInbox(state.inbox, now)
        self.dead_letters = InMemoryDeadLetters(state.dead_letters)

    async def lock(self, keys: Sequence[str]) -> None:
        """Nothing to do: only one transaction runs at a time."""


U = TypeVar("U", bound=InMemoryUnitOfWork)


class SteadyClock(Clock):
    """From this host's time on, whatever becomes of the host's clock: as with a database, which carries its time on."""

    def __init__(self) -> None:
        super().__init__()
        self._begun, self._at = datetime.now(UTC), elapsed()

    def now(self) -> datetime:
        """The time in UTC."""
        return self._begun + timedelta(seconds=elapsed() - self._at) + self.offset


class StoppedClock(Clock):
    """At one instant, until its offset is changed."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        """The instant, in UTC."""
        return self._at.astimezone(UTC) + self.offset


class InMemoryDatabase(Generic[U]):
    """Opens transactions: `async with database() as uow`; satisfies outboxed.ports.UnitOfWorkFactory.

    `make` is the service's InMemoryUnitOfWork subclass. Read `state` freely: it only ever holds committed rows.
    """

    def __init__(self, make: Callable[..., U], *, source: str, clock: Clock | None = None) -> None:
        self.state = State()
        self.clock = clock or SteadyClock()
        self.events_appended = Wakeup()
        self.tasks_scheduled = Wakeup()
        self._make = make
        self._source = source
        self._lock = asyncio.Lock()
        self._ids = count(1)

    async def outbox(self) -> Sequence[OutgoingRecord]:
        """All events so far, oldest first, as the relay sends them."""
        return list(self.state.outbox.values())

    def outcome(self) -> State:
        """The state without inbox and dead letters: what handling a message changes, beside the note that it came."""
        return replace(self.state, inbox={}, dead_letters={})

    def clear(self) -> None:
        """Forget all but the outbox, which has every event so far."""
        self.state = State(outbox=self.state.outbox)

    def at(self, instant: datetime) -> AbstractAsyncContextManager[U]:
        """Stop the clock at an instant, and begin a transaction."""
        self.clock = StoppedClock(instant)
        return self()

    def __call__(self, *, reading: bool = False) -> AbstractAsyncContextManager[U]:
        """See outboxed.ports.UnitOfWorkFactory."""
        return self._reading() if reading else self._transaction()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[U]:
        before = self.state
        uow = self._make(before.copy(), source=self._source, now=self.clock.now())
        yield uow
        if _rows(uow.state) != _rows(before) or uow.events.appended or uow.tasks.scheduled:
            raise WrittenWhileReadingError("a unit of work that was opened for reading has something to write")

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[U]:
        async with self._lock:
            uow = self._make(self.state.copy(), source=self._source, now=self.clock.now())
            yield uow
            self._flush(uow)
            self.state = uow.state
        if uow.events.appended:
            self.events_appended.notify()
        if uow.tasks.scheduled:
            self.tasks_scheduled.notify()

    def _flush(self, uow: U) -> None:
        for record in uow.events.appended:
            uow.state.outbox[next(self._ids)] = record
        for task, traceparent in uow.tasks.scheduled:
            due_at = uow.now + task.delay
            stored = StoredTask(next(self._ids), task, due_at, traceparent, first_due_at=due_at)
            waits = uow.state.tasks.setdefault((task.kind, task.key), stored).new
            if (waits.payload, waits.group) != (task.payload, task.group):
                raise TaskConflictError(task.kind, task.key)


def _rows(state: State) -> State:
    return replace(state, tables={name: rows for name, rows in state.tables.items() if rows})


class InMemoryTaskQueue(Generic[U]):
    """The tasks as a worker sees them; see outboxed.tasks.TaskQueue."""

    def __init__(self, database: InMemoryDatabase[U]) -> None:
        self._database = database

    async def claim(self, kind: str, *, limit: int, lease: timedelta) -> list[Task]:
        """See outboxed.tasks.TaskQueue."""
        async with self._database() as uow:
            rows = uow.state.tasks
            due = [row for row in rows.values() if row.new.kind == kind and _is_due(row, uow.now, rows.values())]
            claimed = [_claim(row, uow.now, lease) for row in sorted(due, key=lambda row: row.due_at)[:limit]]
            rows.update({(row.new.kind, row.new.key): row for row in claimed})
        return [_task(row, uow.now) for row in sorted(claimed, key=lambda row: row.id)]

    async def next_due_in(self, kind: str) -> float:
        """See outboxed.tasks.TaskQueue."""
        now = self._database.clock.now()
        rows = [row for row in self._database.state.tasks.values() if row.new.kind == kind]
        times = [row.due_at if row.due_at > now else row.leased_until or row.due_at for row in rows]
        return min(((time - now).total_seconds() for time in times), default=math.inf)

    async def complete(self, tasks: Sequence[Task], uow: InMemoryUnitOfWork) -> Sequence[Task]:
        """See outboxed.tasks.TaskQueue."""
        leased = [task for task in tasks if _is_leased(task, uow.state)]
        for task in leased:
            del uow.state.tasks[task.kind, task.key]
        return leased

    async def postpone(self, task: Task, delay: timedelta, error: str) -> None:
        """See outboxed.tasks.TaskQueue."""
        async with self._database() as uow:
            if not _is_leased(task, uow.state):
                raise LeaseLostError(f"{task.kind} {task.key}")
            row = uow.state.tasks[task.kind, task.key]
            told = storable(error)[:ERROR_CHARACTERS]
            later = replace(row, due_at=uow.now + delay, leased_until=None, token=None, last_error=told)
            uow.state.tasks[task.kind, task.key] = later

    async def bury(self, task: Task, error: str, uow: InMemoryUnitOfWork) -> None:
        """See outboxed.tasks.TaskQueue."""
        if not await self.complete([task], uow):
            raise LeaseLostError(f"{task.kind} {task.key}")
        uow.state.buried_tasks.append((task, storable(error)))


def _is_due(row: StoredTask, now: datetime, rows: Iterable[StoredTask]) -> bool:
    if row.due_at > now or (row.leased_until is not None and row.leased_until > now):
        return False
    group = row.new.group
    return group is None or not any(other.new.group == group and other.id < row.id for other in rows)


def _claim(row: StoredTask, now: datetime, lease: timedelta) -> StoredTask:
    return replace(row, attempts=row.attempts + 1, leased_until=now + lease, token=uuid4())


def _is_leased(task: Task, state: State) -> bool:
    row = state.tasks.get((task.kind, task.key))
    return row is not None and row.token == task.token


def _task(row: StoredTask, now: datetime) -> Task:
    assert row.token is not None  # noqa: S101 - it has just been claimed
    return Task(
        id=row.id,
        kind=row.new.kind,
        key=row.new.key,
        payload=row.new.payload,
        attempts=row.attempts,
        token=row.token,
        now=now,
        due_for=(now - (row.first_due_at or row.due_at)).total_seconds(),
        group=row.new.group,
        traceparent=row.traceparent,
    )
