"""Aggregates in one table: locked when read, kept once a transaction, written back in bulk at its end."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed.errors import TransientError
from outboxed.failpoints import failpoint
from outboxed.storage._database import column_types, unnest


class Aggregate(Protocol):
    """Immutable; every change makes a new value with the next version."""

    @property
    def id(self) -> UUID: ...
    @property
    def version(self) -> int: ...


A = TypeVar("A", bound=Aggregate)


class StaleAggregateError(Exception):
    """Something changed a row in spite of its lock: nothing of this transaction is written."""


class ConcurrentInsertError(TransientError):
    """Another transaction has just added the same aggregate: nothing is written, and the next attempt will find it."""


class SqlRepository(Generic[A]):
    """`table` needs the columns `id` (uuid) and `version`; `to_row` gives a value for every written column."""

    def __init__(
        self,
        connection: AsyncConnection,
        table: sa.Table,
        *,
        to_row: Callable[[A], dict[str, object]],
        from_row: Callable[[sa.RowMapping], A],
    ) -> None:
        self._connection = connection
        self._table = table
        self._to_row = to_row
        self._from_row = from_row
        self._locked: dict[UUID, A | None] = {}
        self._added: dict[UUID, A] = {}
        self._changed: dict[UUID, A] = {}

    @failpoint("aggregates.lock")
    async def lock(self, ids: Iterable[UUID]) -> None:
        """Lock and load many in one sorted statement."""
        missing = sorted(set(ids) - self._locked.keys())
        if not missing:
            return
        found = await self._select(self._table.c.id == sa.any_(sa.literal(missing, sa.ARRAY(sa.Uuid))), lock=True)
        by_id = {aggregate.id: aggregate for aggregate in found}
        self._locked.update((key, by_id.get(key)) for key in missing)

    async def get(self, key: UUID) -> A | None:
        """The aggregate, locked until the transaction ends; as this transaction last saved it."""
        if key in self._added:
            return self._added[key]
        await self.lock([key])
        return self._changed.get(key) or self._locked[key]

    async def find(self, key: UUID) -> A | None:
        """The committed aggregate, without a lock: to look at, not to change."""
        found = await self._select(self._table.c.id == key, lock=False)
        return found[0] if found else None

    async def select(
        self, *conditions: sa.ColumnElement[bool], order_by: Iterable[Any] = (), limit: int = 0
    ) -> list[A]:
        """Committed aggregates, without locks; `limit` 0 means no limit."""
        return await self._select(*conditions, order_by=order_by, limit=limit, lock=False)

    def add(self, aggregate: A) -> None:
        """Add a new aggregate; if its id exists, the end of the transaction raises ConcurrentInsertError."""
        self._added[aggregate.id] = aggregate

    def save(self, aggregate: A) -> None:
        """Save a changed aggregate."""
        (self._added if aggregate.id in self._added else self._changed)[aggregate.id] = aggregate

    async def flush(self) -> None:
        """Write what was added and changed. Raises StaleAggregateError, ConcurrentInsertError."""
        if self._added:
            await self._insert([self._to_row(aggregate) for aggregate in self._added.values()])
        if self._changed:
            await self._update([self._to_row(aggregate) for aggregate in self._changed.values()])

    async def _select(
        self, *conditions: sa.ColumnElement[bool], order_by: Iterable[Any] = (), limit: int = 0, lock: bool
    ) -> list[A]:
        query = sa.select(self._table).where(*conditions)
        query = query.order_by(self._table.c.id).with_for_update() if lock else query.order_by(*order_by)
        if limit:
            query = query.limit(limit)
        return [self._from_row(row) for row in (await self._connection.execute(query)).mappings()]

    @failpoint("aggregates.insert")
    async def _insert(self, rows: list[dict[str, object]]) -> None:
        names = list(rows[0])
        new = unnest(column_types(self._table, names), rows, alias="new")
        columns = sa.select(*(new.c[name] for name in names)).order_by(new.c.position)
        # a conflict on the id is never silent: it is counted below, and on any other key it is an error
        insert_new = insert(self._table).from_select(names, columns).on_conflict_do_nothing(index_elements=["id"])
        written = len((await self._connection.execute(insert_new.returning(self._table.c.id))).all())
        if written != len(rows):
            raise ConcurrentInsertError(
                f"{len(rows) - written} of {len(rows)} new rows of {self._table.name} were there already"
            )

    @failpoint("aggregates.update")
    async def _update(self, rows: list[dict[str, object]]) -> None:
        names = list(rows[0])
        new = unnest(column_types(self._table, names), rows, alias="new")
        update = (
            sa.update(self._table)
            .values({name: new.c[name] for name in names if name != "id"})
            .where(self._table.c.id == new.c.id, self._table.c.version < new.c.version)
            .returning(self._table.c.id)
        )
        written = len((await self._connection.execute(update)).all())
        if written != len(rows):
            raise StaleAggregateError(f"{len(rows) - written} of {len(rows)} rows of {self._table.name} had moved on")
