"""Aggregates in one table: locked when read, kept once a transaction, written back in bulk at its end."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed.errors import TransientError
from outboxed.failpoints import failpoint
from outboxed.storage._statements import Statement, UnnestedRows, column_types
from outboxed.storage._writes import Write, WriteForm


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

    def __init_subclass__(cls) -> None:
        if "flush" in vars(cls):
            raise TypeError(f"{cls.__name__}.flush is never called: what is written is what `writes` gives")

    def __init__(
        self,
        connection: AsyncConnection,
        table: sa.Table,
        *,
        to_row: Callable[[A], dict[str, object]],
        from_row: Callable[[Mapping[str, Any]], A],
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
        # `set - keys()` would look at every key of the batch, once an event
        missing = sorted({key for key in ids if key not in self._locked})
        if not missing:
            return
        by_id = await self._by_id(_lock(self._table), missing)
        self._locked.update((key, by_id.get(key)) for key in missing)

    async def get(self, key: UUID) -> A | None:
        """The aggregate, locked until the transaction ends; as this transaction last saved it."""
        if key in self._added:
            return self._added[key]
        await self.lock([key])
        return self._changed.get(key) or self._locked[key]

    async def find(self, key: UUID) -> A | None:
        """The committed aggregate, without a lock: to look at, not to change."""
        return (await self.find_many([key])).get(key)

    async def find_many(self, keys: Iterable[UUID]) -> dict[UUID, A]:
        """The committed aggregates by id, without locks; those that don't exist are left out."""
        return await self._by_id(_find(self._table), list(keys), alone=True)

    async def select(
        self, *conditions: sa.ColumnElement[bool], order_by: Iterable[Any] = (), limit: int = 0
    ) -> list[A]:
        """Committed aggregates, without locks; `limit` 0 means no limit."""
        query = sa.select(self._table).where(*conditions).order_by(*order_by)
        if limit:
            query = query.limit(limit)
        return [self._from_row(row._asdict()) for row in await self._connection.execute(query)]

    def add(self, aggregate: A) -> None:
        """Add a new aggregate; if its id exists, the end of the transaction raises ConcurrentInsertError."""
        self._added[aggregate.id] = aggregate

    def save(self, aggregate: A) -> None:
        """Save a changed aggregate."""
        (self._added if aggregate.id in self._added else self._changed)[aggregate.id] = aggregate

    @property
    def has_changes(self) -> bool:
        """Whether something was added or saved."""
        return bool(self._added or self._changed)

    @property
    def changed(self) -> Collection[A]:
        """What this transaction saved of what was there before."""
        return self._changed.values()

    def writes(self) -> Iterator[Write]:
        """What was added and changed. Written, they raise ConcurrentInsertError or StaleAggregateError."""
        if self._added:
            rows = [self._to_row(aggregate) for aggregate in self._added.values()]
            yield Write(_insertion(self._table, *rows[0]), rows, partial(self._raise_that_they_exist, len(rows)))
        if self._changed:
            rows = [self._to_row(aggregate) for aggregate in self._changed.values()]
            yield Write(_update(self._table, *rows[0]), rows, partial(self._raise_that_they_moved_on, len(rows)))

    async def _by_id(self, query: Statement, ids: list[UUID], *, alone: bool = False) -> dict[UUID, A]:
        rows = await query.mappings(self._connection, {"ids": ids}, alone=alone)
        return {aggregate.id: aggregate for aggregate in map(self._from_row, rows)}

    async def _raise_that_they_exist(self, added: int, written: int) -> None:
        raise ConcurrentInsertError(f"{added - written} of {added} new rows of {self._table.name} were there already")

    async def _raise_that_they_moved_on(self, changed: int, written: int) -> None:
        raise StaleAggregateError(f"{changed - written} of {changed} rows of {self._table.name} had moved on")


@cache
def _find(table: sa.Table) -> Statement:
    return Statement(_by_ids(table))


@cache
def _lock(table: sa.Table) -> Statement:
    return Statement(_by_ids(table).order_by(table.c.id).with_for_update())


def _by_ids(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table).where(table.c.id == sa.any_(sa.bindparam("ids", type_=sa.ARRAY(sa.Uuid))))


@cache
def _insertion(table: sa.Table, *names: str) -> WriteForm:
    def sql(new: UnnestedRows, after: sa.ColumnElement[bool]) -> Any:
        rows = sa.select(*new.columns).where(after).order_by(new.table.c.position)
        # a conflict on the id is never silent: it is counted, and on any other key it is an error
        statement = insert(table).from_select(list(names), rows).on_conflict_do_nothing(index_elements=["id"])
        return statement.returning(table.c.id)

    return WriteForm(column_types(table, names), sql)


@cache
def _update(table: sa.Table, *names: str) -> WriteForm:
    def sql(new: UnnestedRows, after: sa.ColumnElement[bool]) -> Any:
        is_older = (table.c.id == new.table.c.id) & (table.c.version < new.table.c.version)
        values = {name: new.table.c[name] for name in names if name != "id"}
        return sa.update(table).values(values).where(is_older, after).returning(table.c.id)

    return WriteForm(column_types(table, names), sql)
