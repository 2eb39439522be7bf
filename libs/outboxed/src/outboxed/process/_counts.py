"""How many rows wait, at a cost that doesn't grow with them: counted up to a bound, then PostgreSQL's estimate."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed.storage import tables

EXACT_UP_TO = 1_000
"""Nobody needs more than the size of a larger number."""
_OUTBOX, _TASKS = tables.outbox, tables.tasks

Now = sa.ColumnElement[Any]


@dataclass(frozen=True)
class Waiting:
    """Rows of the outbox; `oldest` is the age in seconds of the oldest free one."""

    free: int
    held: int
    oldest: float


@dataclass(frozen=True)
class Due:
    """Tasks of one kind; `oldest` is since when the oldest has been due, in seconds."""

    rows: int
    oldest: float


_FREE = sa.select(_OUTBOX.c.id).where(_OUTBOX.c.retry_at.is_(None))
_HELD = sa.select(_OUTBOX.c.id).where(_OUTBOX.c.retry_at.is_not(None))
_INBOX = sa.select(tables.inbox.c.event_id)


async def outbox(connection: AsyncConnection, now: Now) -> Waiting:
    """The age is exact: a row's id and its time are given out together."""
    first = _FREE.add_columns(_OUTBOX.c.created_at).order_by(_OUTBOX.c.id).limit(EXACT_UP_TO + 1).subquery()
    query = sa.select(sa.func.count(), _age(now, sa.func.min(first.c.created_at)), _bounded(_HELD))
    rows, oldest, held_rows = (await connection.execute(query.select_from(first))).one()
    free, held = await _or_estimate(connection, rows, _FREE_TEXT), await _or_estimate(connection, held_rows, _HELD_TEXT)
    return Waiting(free, held, max(0.0, oldest))


async def inbox_rows(connection: AsyncConnection) -> int:
    """Handled events that are remembered."""
    counted = (await connection.execute(sa.select(_bounded(_INBOX)))).scalar_one()
    return await _or_estimate(connection, counted, _INBOX_TEXT)


async def due_tasks(connection: AsyncConnection, now: Now) -> Mapping[str, Due]:
    """By kind, for every kind that has one. A task that was postponed has been due since it first was."""
    now = sa.select(now).scalar_subquery()  # computed once, and so good for an index
    kinds = _kinds()
    of_kind = sa.select(_TASKS.c.id).where(_TASKS.c.kind == kinds.c.kind).correlate(kinds)
    # in the order of an index: else PostgreSQL reads the table in the hope that many of its tasks are due
    again = of_kind.where(_TASKS.c.due_at <= now).order_by(_TASKS.c.due_at)
    was_due = _TASKS.c.first_due_at <= now, _TASKS.c.due_at > now
    postponed = of_kind.where(_is_postponed(), *was_due).order_by(_TASKS.c.first_due_at)
    first = sa.func.least(
        sa.select(sa.func.min(_TASKS.c.due_at)).where(_TASKS.c.kind == kinds.c.kind).scalar_subquery(),
        sa.select(sa.func.min(_TASKS.c.first_due_at))
        .where(_TASKS.c.kind == kinds.c.kind, _is_postponed())
        .scalar_subquery(),
    )
    query = sa.select(kinds.c.kind, _bounded(again) + _bounded(postponed), _age(now, first), now)
    found = {}
    for kind, rows, oldest, moment in await connection.execute(query):
        if rows:  # the last kind is null, and has none
            written_out = _first_due_before(kind, moment.replace(second=0, microsecond=0))
            found[kind] = Due(await _or_estimate(connection, rows, written_out), max(0.0, oldest))
    return found


async def open_letters(connection: AsyncConnection) -> Mapping[str, int]:
    """Dead letters that wait for a person, for every source that has one. They are few: each is counted."""
    table = tables.dead_letters
    query = sa.select(table.c.source, sa.func.count()).where(table.c.status == "open").group_by(table.c.source)
    return dict((await connection.execute(query)).all())


def _kinds() -> sa.CTE:
    """The kinds that the table has: one step in the index for each, however many tasks it has."""
    kinds = sa.select(sa.func.min(_TASKS.c.kind).label("kind")).cte("kinds", recursive=True)
    following = sa.select(sa.func.min(_TASKS.c.kind)).where(_TASKS.c.kind > kinds.c.kind).scalar_subquery()
    return kinds.union_all(sa.select(following).where(kinds.c.kind.is_not(None)))


def _is_postponed() -> sa.ColumnElement[bool]:
    return _TASKS.c.due_at > _TASKS.c.first_due_at


def _bounded(rows: sa.Select[Any]) -> sa.ScalarSelect[int]:
    """Their number, or EXACT_UP_TO + 1."""
    first = rows.limit(EXACT_UP_TO + 1).subquery()
    return sa.select(sa.func.count()).select_from(first).scalar_subquery()


async def _or_estimate(connection: AsyncConnection, counted: int, written_out: str) -> int:
    if counted <= EXACT_UP_TO:
        return counted
    (explained,) = (await connection.exec_driver_sql(f"explain (format json) {written_out}")).scalar_one()
    return max(EXACT_UP_TO + 1, int(explained["Plan"]["Plan Rows"]))


@lru_cache(maxsize=64)
def _first_due_before(kind: str, minute: datetime) -> str:
    """The planner has an opinion of a time, and none of what an expression may become. One text does for a minute."""
    return _written_out(sa.select(_TASKS.c.id).where(_TASKS.c.kind == kind, _TASKS.c.first_due_at <= minute))


def _written_out(rows: sa.Select[Any]) -> str:
    """With its values in the text: they are a release's kinds of tasks and the database's own times."""
    return str(rows.compile(dialect=dialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]


def _age(now: Now, oldest: sa.ColumnElement[Any]) -> sa.ColumnElement[float]:
    return sa.cast(sa.func.coalesce(sa.extract("epoch", now - oldest), 0), sa.Float)


_FREE_TEXT, _HELD_TEXT, _INBOX_TEXT = (_written_out(rows) for rows in (_FREE, _HELD, _INBOX))
