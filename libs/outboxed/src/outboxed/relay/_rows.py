"""The outbox in SQL: what may be sent, what is held, and what was set aside.

A row with `retry_at` is held. Kafka has refused it, or it is behind such a row of its key; then `retry_at` is infinity.
A row that was set aside is a dead letter, and the later rows of its key are behind it until somebody closes it.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed.failpoints import failpoint
from outboxed.relay._row import Row
from outboxed.relay._statement import Statement
from outboxed.storage import UnnestedRows, dump_headers, storable, tables

LOCK_ID = 0x6F7574626F78
"""The advisory lock of this database's one sending relay ("outbox" in ASCII)."""
_OUTBOX, _LETTERS = tables.outbox, tables.dead_letters
MAX_BYTES = 1024 * 1024
"""Of rows that are read at once; a single row may be larger."""
RECORD_OVERHEAD = 21
"""Bytes of a record beside key, value and headers, about (Kafka's protocol, "Record")."""
_IS_OPEN = sa.literal_column("dead_letters.source = 'outbox' and dead_letters.status = 'open'", sa.Boolean)
"""Word by word what the partial index says: PostgreSQL uses that for no parameters."""
_UNTIL_RELEASED = sa.literal_column("timestamptz 'infinity'", sa.DateTime(timezone=True))


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


def _behind(row: sa.FromClause, *, refused_alone: bool = False) -> sa.ColumnElement[bool]:
    """Whether an earlier row of the same key is held or was set aside; with `refused_alone`, held for itself."""
    held = _OUTBOX.alias("held")
    is_held = held.c.retry_at < _UNTIL_RELEASED if refused_alone else held.c.retry_at.is_not(None)
    same_key = held.c.topic == row.c.topic, held.c.key == row.c.key, held.c.id < row.c.id
    letter: tuple[sa.ColumnElement[bool], ...] = (
        _IS_OPEN,
        _LETTERS.c.topic == row.c.topic,
        _LETTERS.c.key == sa.func.convert_to(row.c.key, sa.literal_column("'UTF8'")),
        _LETTERS.c.offset < row.c.id,
    )
    return sa.exists().where(is_held, *same_key) | sa.exists().where(*letter)


def _any(ids: sa.ColumnElement[Any]) -> sa.CollectionAggregate[bool]:
    # one array: IN is another statement for each number of ids, and each connection caches only a hundred statements
    return sa.any_(sa.cast(ids, sa.ARRAY(sa.BigInteger)))


_IS_BEHIND = _behind(_OUTBOX)
_FREE = _OUTBOX.c.retry_at.is_(None)
_IDS = _any(sa.bindparam("ids"))


_PARTS = (
    *(_OUTBOX.c[name] for name in ("id", "topic", "key", "value")),
    sa.cast(_OUTBOX.c.headers, sa.Text).label("headers"),  # else Python's json would parse each row's
    _OUTBOX.c.attempts,
)


def _sized(parts: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    """The columns of a Row."""
    lengths: list[sa.ColumnElement[int]] = [sa.func.octet_length(parts.c[name]) for name in ("key", "value", "headers")]
    size = lengths[0] + lengths[1] + lengths[2] + RECORD_OVERHEAD
    return [*(parts.c[column.name] for column in _PARTS), size.label("size")]


def _oldest(chosen: sa.ColumnElement[bool]) -> Statement:
    """The oldest rows, as many as `limit` and MAX_BYTES allow, and at least one."""
    limit = sa.bindparam("limit", type_=sa.BigInteger)
    oldest = sa.select(*_PARTS, _IS_BEHIND.label("behind")).where(chosen).order_by(_OUTBOX.c.id).limit(limit).subquery()
    sized = sa.select(*_sized(oldest), oldest.c.behind).subquery()
    before = (sa.func.sum(sized.c.size).over(order_by=sized.c.id) - sized.c.size).label("before")
    summed = sa.select(sized, before).subquery()
    query = sa.select(*(column for column in summed.c if column is not summed.c.before))
    return Statement(query.where(summed.c.before < MAX_BYTES).order_by(summed.c.id))


_LOCK = Statement(
    sa.select(
        sa.func.pg_try_advisory_xact_lock(LOCK_ID),
        sa.exists().where(_OUTBOX.c.retry_at.is_not(None)),
        sa.text("(select last_value from outbox_id_seq)"),
    )
)
_OLDEST_FREE = _oldest(_FREE & (_OUTBOX.c.id > sa.bindparam("above", type_=sa.BigInteger)))
_FREE_OF_IDS = _oldest(_FREE & (_OUTBOX.c.id == _IDS))
_ANY = Statement(sa.select(sa.exists().where(_OUTBOX.c.id > sa.bindparam("above", type_=sa.BigInteger))))
_HELD = UnnestedRows({"id": sa.BigInteger(), "attempts": sa.Integer(), "seconds": sa.Float()}, alias="held")
_HOLD = (
    sa.update(_OUTBOX)
    .where(_OUTBOX.c.id == _HELD.table.c.id)
    .values(
        attempts=_HELD.table.c.attempts,
        retry_at=sa.func.clock_timestamp() + _HELD.table.c.seconds * sa.text("interval '1 second'"),
    )
)
_DELETE = Statement(sa.delete(_OUTBOX).where(_OUTBOX.c.id == _IDS))


async def is_any_there(connection: AsyncConnection, *, above: int) -> bool:
    """Whether there is any row above an id, held or not."""
    return bool((await _ANY(connection, above=above)).scalar_one())


@failpoint("relay.lock")
async def lock(connection: AsyncConnection) -> tuple[bool, bool, int]:
    """Try to take the lock; returns whether this transaction has it, whether any row is held, and the last id of all.

    It is a statement of its own: in one with the select, the select's snapshot would be older than the lock.
    """
    taken, held, last = tuple((await _LOCK(connection)).one())
    return taken, held, last


@failpoint("relay.read")
async def free(
    connection: AsyncConnection, limit: int, *, above: int = 0, ids: Collection[int] | None = None
) -> tuple[list[Row], list[int]]:
    """The oldest rows above an id that are not held, or those of `ids`; and the ids among them behind another row.

    At most `limit` rows, and not many more than MAX_BYTES.
    """
    if ids is None:
        result = await _OLDEST_FREE(connection, limit=limit, above=above)
    else:
        result = await _FREE_OF_IDS(connection, limit=limit, ids=list(ids))
    rows: Sequence[Any] = result.all()
    behind = [row[0] for row in rows if row[-1]]
    return [Row(*row[:-1]) for row in rows if not row[-1]], behind


async def places(connection: AsyncConnection, limit: int, *, above: int, without: Sequence[str]) -> list[Place]:
    """Where the oldest rows go that are not held, above an id and not of the topics of `without`."""
    other_topic = _OUTBOX.c.topic != sa.all_(sa.literal(list(without), sa.ARRAY(sa.Text)))
    columns = _OUTBOX.c.id, _OUTBOX.c.topic, _OUTBOX.c.key
    query = sa.select(*columns).where(_FREE, _OUTBOX.c.id > above, other_topic).order_by(_OUTBOX.c.id).limit(limit)
    return [Place(*row) for row in await connection.execute(query)]


async def due(connection: AsyncConnection, limit: int) -> list[Row]:
    """Held rows whose time has come, oldest first, at most one of a key."""
    is_due = _OUTBOX.c.retry_at <= sa.func.clock_timestamp()
    parts = sa.select(*_PARTS).where(is_due, ~_IS_BEHIND).order_by(_OUTBOX.c.id).limit(limit).subquery()
    query = sa.select(*_sized(parts)).order_by(parts.c.id)
    return [Row(*row) for row in await connection.execute(query)]


@failpoint("relay.delete")
async def delete(connection: AsyncConnection, ids: Collection[int]) -> None:
    """Forget rows that Kafka has."""
    await _DELETE(connection, ids=list(ids))


@failpoint("relay.hold")
async def hold(connection: AsyncConnection, holds: Sequence[Hold]) -> None:
    """Keep rows that Kafka refused back for a while."""
    await connection.execute(_HOLD, _HELD.values([each._asdict() for each in holds]))


async def hold_behind(connection: AsyncConnection, ids: Collection[int]) -> None:
    """Keep rows back until `release`: an earlier row of their key is held or was set aside."""
    await connection.execute(
        sa.update(_OUTBOX)
        .where(_OUTBOX.c.id == _any(sa.literal(list(ids), sa.ARRAY(sa.BigInteger))))
        .values(retry_at=_UNTIL_RELEASED)
    )


@failpoint("relay.release")
async def release(connection: AsyncConnection) -> int:
    """Let the rows go that are behind nothing any more; returns how many.

    Whoever closes a dead letter, or deletes a row by hand, need not know of them.
    """
    is_behind = _behind(_OUTBOX, refused_alone=True)
    statement = sa.update(_OUTBOX).where(_OUTBOX.c.retry_at == _UNTIL_RELEASED, ~is_behind)
    return (await connection.execute(statement.values(retry_at=None))).rowcount


@failpoint("relay.set_aside")
async def set_aside(connection: AsyncConnection, row: Row, reason: str) -> int | None:
    """Make a row a dead letter; returns the letter's id, or None if the row is gone."""
    gone = sa.delete(_OUTBOX).where(_OUTBOX.c.id == row.id).returning(_OUTBOX.c.id)
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
    letter_id: int = (await connection.execute(insert(_LETTERS).values(letter).returning(_LETTERS.c.id))).scalar_one()
    return letter_id


@failpoint("relay.commit")
async def commit(connection: AsyncConnection) -> None:
    """Commit, which gives the lock back."""
    await connection.commit()
