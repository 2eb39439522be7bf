"""The in-memory and the SQL ports of a service behind one interface, so that one suite tests both."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from outboxed.messages import EventIdentity, OutgoingRecord, Record
from outboxed.ports import EventDeadLetter
from outboxed.storage import Clock, SqlTransactions, load_headers, tables
from outboxed.storage._inbox import handled_identity
from outboxed.tasks import SqlTaskQueue, TaskQueue
from outboxed.testing.memory import InMemoryDatabase, InMemoryTaskQueue


class Backend(Protocol):
    """`database` opens transactions of the service's unit of work; a test looks at the rest afterwards."""

    @property
    def database(self) -> Any: ...
    @property
    def queue(self) -> TaskQueue[Any]: ...
    @property
    def clock(self) -> Clock: ...
    async def outbox(self) -> Sequence[OutgoingRecord]:
        """In the order of sending."""
        ...

    async def tasks(self) -> Sequence[tuple[str, str, str | None, dict[str, Any]]]:
        """(kind, key, group, payload), in the order of scheduling."""
        ...

    async def inbox(self) -> set[EventIdentity]:
        """The events that were handled."""
        ...

    async def dead_letters(self) -> Sequence[EventDeadLetter]:
        """Of events."""
        ...

    async def dead_tasks(self) -> Sequence[tuple[str, str, str]]:
        """(kind, key, reason)."""
        ...


@dataclass(frozen=True)
class InMemoryBackend:
    """On outboxed.testing.memory."""

    database: InMemoryDatabase[Any]

    @property
    def queue(self) -> TaskQueue[Any]:
        """See Backend."""
        return InMemoryTaskQueue(self.database)

    @property
    def clock(self) -> Clock:
        """See Backend."""
        return self.database.clock

    async def outbox(self) -> Sequence[OutgoingRecord]:
        """See Backend."""
        rows = self.database.state.outbox
        return [rows[row_id] for row_id in sorted(rows)]

    async def tasks(self) -> Sequence[tuple[str, str, str | None, dict[str, Any]]]:
        """See Backend."""
        rows = sorted(self.database.state.tasks.values(), key=lambda row: row.id)
        return [(row.new.kind, row.new.key, row.new.group, dict(row.new.payload)) for row in rows]

    async def inbox(self) -> set[EventIdentity]:
        """See Backend."""
        return set(self.database.state.inbox)

    async def dead_letters(self) -> Sequence[EventDeadLetter]:
        """See Backend."""
        return list(self.database.state.dead_letters.values())

    async def dead_tasks(self) -> Sequence[tuple[str, str, str]]:
        """See Backend."""
        return [(task.kind, task.key, reason) for task, reason in self.database.state.buried_tasks]


@dataclass(frozen=True)
class SqlBackend:
    """On PostgreSQL."""

    database: SqlTransactions[Any]

    @property
    def queue(self) -> TaskQueue[Any]:
        """See Backend."""
        return SqlTaskQueue(self.database.engine, self.database.clock)

    @property
    def clock(self) -> Clock:
        """See Backend."""
        return self.database.clock

    async def outbox(self) -> Sequence[OutgoingRecord]:
        """See Backend."""
        return [OutgoingRecord(row.topic, row.key, row.value, row.headers) for row in await self._rows(tables.outbox)]

    async def tasks(self) -> Sequence[tuple[str, str, str | None, dict[str, Any]]]:
        """See Backend."""
        return [(row.kind, row.key, row.task_group, row.payload) for row in await self._rows(tables.tasks)]

    async def inbox(self) -> set[EventIdentity]:
        """See Backend."""
        async with self.database.engine.connect() as connection:
            rows = await connection.execute(sa.select(tables.inbox.c.event_id, tables.inbox.c.source))
            return {handled_identity(*row) for row in rows}

    async def dead_letters(self) -> Sequence[EventDeadLetter]:
        """See Backend."""
        rows = await self._rows(tables.dead_letters)
        return [EventDeadLetter(row.consumer_group, _record(row), row.reason) for row in rows if row.source == "event"]

    async def dead_tasks(self) -> Sequence[tuple[str, str, str]]:
        """See Backend."""
        rows = await self._rows(tables.dead_letters)
        return [(row.topic, row.key.decode(), row.reason) for row in rows if row.source == "task"]

    async def _rows(self, table: sa.Table) -> Sequence[Any]:
        async with self.database.engine.connect() as connection:
            return (await connection.execute(sa.select(table).order_by(table.c.id))).all()


def _record(row: Any) -> Record:
    return Record(row.topic, row.partition, row.offset, row.key, row.value, load_headers(row.headers))


class _RollBackError(Exception):
    """Ends a transaction in the middle."""


@asynccontextmanager
async def failed_transaction(database: Any) -> AsyncIterator[Any]:
    """A transaction that runs the block and then rolls back."""
    with suppress(_RollBackError):
        async with database() as uow:
            yield uow
            raise _RollBackError
