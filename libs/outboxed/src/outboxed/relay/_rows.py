"""The outbox in SQL: what may be sent, what is held, and what was set aside.

A row with `retry_at` is held. Kafka has refused it, or it is behind such a row of its key; then `retry_at` is infinity.
A row that was set aside is a dead letter, and the later rows of its key are behind it until somebody closes it.
"""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed.failpoints import failpoint
from outboxed.relay._row import Row
from outboxed.storage import Statement, UnnestedRows, dump_headers, named, storable, tables

LOCK_ID = 0x6F7574626F78
"""The advisory lock of this database's one sending relay ("outbox" in ASCII)."""
OTHER_LOCKS = 0x6F757462
"""The first half of the lock of a relay whose outbox has a name or a schema of its own; the second is the table's."""
LAST_ID = 2**63 - 1
"""What no sequence has given out: it stands for an id that nobody knows."""
MAX_BYTES = 1024 * 1024
"""Of rows that are read at once; a single row may be larger."""
RECORD_OVERHEAD = 21
"""Bytes of a record beside key, value and headers, about (Kafka's protocol, "Record")."""
_UNTIL_RELEASED = sa.literal_column("timestamptz 'infinity'", sa.DateTime(timezone=True))
_HELD = UnnestedRows({"id": sa.BigInteger(), "attempts": sa.Integer(), "seconds": sa.Float()}, alias="held")
_ABOVE = sa.bindparam("above", type_=sa.BigInteger)
_LIMIT = sa.bindparam("limit", type_=sa.BigInteger)


class Place(NamedTuple):
    """Where a row goes, without what it says."""

    id: int
    topic: str
    key: str


class Hold(NamedTuple):
    """Kafka refused this row `attempts` times; it is to be tried again in `seconds`."""

    id: int
    attempts: int
    seconds: float


def _any(ids: sa.ColumnElement[Any]) -> sa.CollectionAggregate[bool]:
    # one array: IN is another statement for each number of ids, and each connection caches only a hundred statements
    return sa.any_(sa.cast(ids, sa.ARRAY(sa.BigInteger)))


_IDS = _any(sa.bindparam("ids"))


class _Statements:
    """The relay's statements on two tables, each made once."""

    def __init__(self, outbox: sa.Table, letters: sa.Table) -> None:
        self._outbox, self._letters = outbox, letters
        self.parts = (
            *(outbox.c[name] for name in ("id", "topic", "key", "value")),
            sa.cast(outbox.c.headers, sa.Text).label("headers"),  # else Python's json would parse each row's
            outbox.c.attempts,
        )
        self.place = sa.select(outbox.c.id, outbox.c.topic, outbox.c.key)
        self.is_free = outbox.c.retry_at.is_(None)
        self.lock = Statement(self._lock())
        self.oldest_free = Statement(self._oldest(self.is_free & (outbox.c.id > _ABOVE)))
        self.oldest_of_ids = Statement(self._oldest(outbox.c.id == _IDS))
        of_ids = sa.select(*self.parts).where(outbox.c.id == _IDS).subquery()
        self.of_ids = Statement(sa.select(*self.sized(of_ids)))
        self.any = Statement(sa.select(sa.exists().where(outbox.c.id > _ABOVE)))
        self.delete = Statement(sa.delete(outbox).where(outbox.c.id == _IDS))
        self.hold = (
            sa.update(outbox)
            .where(outbox.c.id == _HELD.table.c.id)
            .values(
                attempts=_HELD.table.c.attempts,
                retry_at=sa.func.clock_timestamp() + _HELD.table.c.seconds * sa.text("interval '1 second'"),
            )
        )

    def _lock(self) -> sa.Select[Any]:
        outbox, name = self._outbox, named(self._outbox).replace("'", "''")
        of_the_table = sa.literal_column(f"('{name}'::regclass::oid::bigint - 2147483648)::int", sa.Integer)
        is_the_default = (outbox.name, outbox.schema) == (tables.outbox.name, None)
        ids: tuple[Any, ...] = (LOCK_ID,) if is_the_default else (OTHER_LOCKS, of_the_table)
        # not by its name: a table that was renamed keeps its sequence, and the next one of the old name gets another
        sequence = f"pg_get_serial_sequence('{name}', 'id')::regclass"
        return sa.select(
            sa.func.pg_try_advisory_xact_lock(*ids),
            sa.exists().where(outbox.c.retry_at.is_not(None)),
            sa.literal_column(
                # a role with rights on tables alone isn't told, and reads from the start twice a minute as ever
                f"case when has_sequence_privilege({sequence}, 'select, usage')"
                f" then coalesce(pg_sequence_last_value({sequence}), 0) else {LAST_ID} end",
                sa.BigInteger,
            ),
        )

    def behind(self, *, refused_alone: bool = False) -> sa.ColumnElement[bool]:
        """Whether an earlier row of the same key is held or was set aside; with `refused_alone`, held for itself."""
        row, letters, held = self._outbox, self._letters, self._outbox.alias("held")
        is_held = held.c.retry_at < _UNTIL_RELEASED if refused_alone else held.c.retry_at.is_not(None)
        same_key = held.c.topic == row.c.topic, held.c.key == row.c.key, held.c.id < row.c.id
        letter = (
            # word by word what the partial index says: PostgreSQL uses that for no parameters
            letters.c.source == sa.literal_column("'outbox'"),
            letters.c.status == sa.literal_column("'open'"),
            letters.c.topic == row.c.topic,
            letters.c.key == sa.func.convert_to(row.c.key, sa.literal_column("'UTF8'")),
            letters.c.offset < row.c.id,
        )
        return sa.exists().where(is_held, *same_key) | sa.exists().where(*letter)

    def sized(self, parts: sa.FromClause) -> list[sa.ColumnElement[Any]]:
        """The columns of a Row."""
        names = ("key", "value", "headers")
        lengths: list[sa.ColumnElement[int]] = [sa.func.octet_length(parts.c[name]) for name in names]
        size = lengths[0] + lengths[1] + lengths[2] + RECORD_OVERHEAD
        return [*(parts.c[column.name] for column in self.parts), size.label("size")]

    def _oldest(self, chosen: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """The oldest rows, as many as `limit` and MAX_BYTES allow, and at least one."""
        columns = [*self.parts, self.behind().label("behind")]
        oldest = sa.select(*columns).where(chosen).order_by(self._outbox.c.id).limit(_LIMIT).subquery()
        sized = sa.select(*self.sized(oldest), oldest.c.behind).subquery()
        before = (sa.func.sum(sized.c.size).over(order_by=sized.c.id) - sized.c.size).label("before")
        summed = sa.select(sized, before).subquery()
        query = sa.select(*(column for column in summed.c if column is not summed.c.before))
        return query.where(summed.c.before < MAX_BYTES).order_by(summed.c.id)


_statements = cache(_Statements)


class Rows:
    """The rows of an outbox, and the dead letters that some of them become."""

    def __init__(self, outbox: sa.Table = tables.outbox, letters: sa.Table = tables.dead_letters) -> None:
        self._outbox, self._letters = outbox, letters
        self._made = _statements(outbox, letters)

    async def is_any_there(self, connection: AsyncConnection, *, above: int) -> bool:
        """Whether there is any row above an id, held or not."""
        (is_any,) = await self._made.any.values(connection, {"above": above})
        return bool(is_any)

    @failpoint("relay.lock")
    async def lock(self, connection: AsyncConnection) -> tuple[bool, bool, int]:
        """Try to take the lock; returns whether this transaction has it, whether any row is held, and the last id.

        It is a statement of its own: in one with the select, the select's snapshot would be older than the lock.
        """
        ((taken, held, last),) = await self._made.lock.rows(connection)
        return taken, held, last

    @failpoint("relay.read")
    async def free(
        self, connection: AsyncConnection, limit: int, *, above: int = 0, ids: Collection[int] | None = None
    ) -> tuple[list[Row], list[int]]:
        """The oldest rows above an id that are not held, or those of `ids`; and the ids among them behind another row.

        Of `ids` none is held: `places` found them in this transaction.

        At most `limit` rows, and not many more than MAX_BYTES.
        """
        if ids is None:
            rows = await self._made.oldest_free.rows(connection, {"limit": limit, "above": above})
        else:
            rows = await self._made.oldest_of_ids.rows(connection, {"limit": limit, "ids": list(ids)})
        behind = [row[0] for row in rows if row[-1]]
        return [Row(*row[:-1]) for row in rows if not row[-1]], behind

    async def places(
        self, connection: AsyncConnection, limit: int, *, above: int, without: Sequence[str]
    ) -> list[Place]:
        """Where the oldest rows go that are not held, above an id and not of the topics of `without`."""
        outbox = self._outbox
        other_topic = outbox.c.topic != sa.all_(sa.literal(list(without), sa.ARRAY(sa.Text)))
        query = self._made.place.where(self._made.is_free, outbox.c.id > above, other_topic)
        return await self._oldest_places(connection, query, limit)

    async def due(self, connection: AsyncConnection, limit: int) -> list[Place]:
        """Where the held rows go whose time has come, oldest first, at most one of a key."""
        is_due = self._outbox.c.retry_at <= sa.func.clock_timestamp()
        return await self._oldest_places(connection, self._made.place.where(is_due, ~self._made.behind()), limit)

    async def _oldest_places(self, connection: AsyncConnection, query: sa.Select[Any], limit: int) -> list[Place]:
        return [Place(*row) for row in await connection.execute(query.order_by(self._outbox.c.id).limit(limit))]

    async def held(self, connection: AsyncConnection, ids: Collection[int]) -> list[Row]:
        """These rows, in any order."""
        return [Row(*row) for row in await self._made.of_ids.rows(connection, {"ids": list(ids)})]

    @failpoint("relay.delete")
    async def delete(self, connection: AsyncConnection, ids: Collection[int]) -> None:
        """Forget rows that Kafka has."""
        await self._made.delete.rows(connection, {"ids": list(ids)})

    @failpoint("relay.hold")
    async def hold(self, connection: AsyncConnection, holds: Sequence[Hold]) -> None:
        """Keep rows that Kafka refused back for a while."""
        await connection.execute(self._made.hold, _HELD.values([each._asdict() for each in holds]))

    async def hold_behind(self, connection: AsyncConnection, ids: Collection[int]) -> None:
        """Keep rows back until `release`: an earlier row of their key is held or was set aside."""
        await connection.execute(
            sa.update(self._outbox)
            .where(self._outbox.c.id == _any(sa.literal(list(ids), sa.ARRAY(sa.BigInteger))))
            .values(retry_at=_UNTIL_RELEASED)
        )

    @failpoint("relay.release")
    async def release(self, connection: AsyncConnection) -> int:
        """Let the rows go that are behind nothing any more; returns how many.

        Whoever closes a dead letter, or deletes a row by hand, need not know of them.
        """
        is_behind = self._made.behind(refused_alone=True)
        statement = sa.update(self._outbox).where(self._outbox.c.retry_at == _UNTIL_RELEASED, ~is_behind)
        return (await connection.execute(statement.values(retry_at=None))).rowcount

    @failpoint("relay.set_aside")
    async def set_aside(self, connection: AsyncConnection, row: Row, reason: str) -> int | None:
        """Make a row a dead letter; returns the letter's id, or None if the row is gone."""
        gone = sa.delete(self._outbox).where(self._outbox.c.id == row.id).returning(self._outbox.c.id)
        if (await connection.execute(gone)).first() is None:
            return None
        letter = {
            "source": "outbox",
            "topic": row.topic,
            "offset": row.id,
            "key": row.key.encode(),
            "value": row.value,
            "headers": dump_headers(row.raw_headers()),
            "reason": storable(reason),
        }
        written = await connection.execute(insert(self._letters).values(letter).returning(self._letters.c.id))
        letter_id: int = written.scalar_one()
        return letter_id

    @failpoint("relay.commit")
    async def commit(self, connection: AsyncConnection) -> None:
        """Commit, which gives the lock back."""
        await connection.commit()
