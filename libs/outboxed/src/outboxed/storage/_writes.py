"""What a transaction writes at its end: rows of several tables, by one statement."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed._compat.sqlalchemy import sqlstate_of
from outboxed.storage._statements import Statement, Types, UnnestedRows

_ROW_MISSING = "22012"
"""SQLSTATE: division by zero, which stands for a row that was not written.

Without a function PostgreSQL has no other way to end a statement from within.
"""


@dataclass(frozen=True, eq=False)
class WriteForm:
    """How rows of one kind are written; made once, when a module is imported.

    `types` are the columns of the rows that are given. `sql(new, after)` is an INSERT or UPDATE from `new`, under the
    condition `after`, that returns one row for each row that it has written. What follows is not even tried if a row is
    missing, unless `may_miss`.
    """

    types: Types
    sql: Callable[[UnnestedRows, sa.ColumnElement[bool]], Any]
    may_miss: bool = False


@dataclass(frozen=True)
class Write:
    """Rows to write in one form.

    `missed(written)` is called if fewer rows were written, and raises what that means. It's None where the statement
    itself fails then.
    """

    form: WriteForm
    rows: Sequence[Mapping[str, object]]
    missed: Callable[[int], Awaitable[None]] | None = None


async def write(connection: AsyncConnection, writes: Sequence[Write], *, last: bool) -> None:
    """Write all in this order. Raises what `missed` raises, and what the statement does.

    With `last` nothing else comes in this transaction. Where that has not begun, the statement is a transaction of its
    own, and is committed.
    """
    if not writes:
        return
    together = _together(*(each.form for each in writes))
    values = together.values(writes)
    if last and together.may_be_alone(connection) and await together.written_alone(connection, values):
        return
    counts = (await together.counting.rows(connection, values))[0]
    for each, written in zip(writes, counts, strict=True):
        if each.missed is not None and written < len(each.rows):
            await each.missed(written)


class _Together:
    """Several forms as one statement.

    Each part is a common table expression. PostgreSQL runs such parts in no order of its own, so each asks for the
    count of the one before. So rows of the outbox get their ids under the locks of the aggregates.
    """

    def __init__(self, forms: Sequence[WriteForm]) -> None:
        self._given = [UnnestedRows(form.types, alias=f"new_{number}") for number, form in enumerate(forms)]
        after: sa.ColumnElement[bool] = sa.true()
        counts: list[sa.ColumnElement[int]] = []
        is_whole: list[sa.ColumnElement[bool]] = []
        for number, (form, new) in enumerate(zip(forms, self._given, strict=True)):
            part = form.sql(new, after).cte(f"written_{number}")
            count = sa.select(sa.func.count()).select_from(part).scalar_subquery()
            wanted = sa.bindparam(_wanted(number), type_=sa.BigInteger)
            is_whole.append(count == wanted)
            after = count >= 0 if form.may_miss else count == wanted
            counts.append(count)
        self.counting = Statement(sa.select(*(count.label(f"count_{number}") for number, count in enumerate(counts))))
        all_of_it = sa.case((sa.and_(*is_whole), 1), else_=0)
        self._alone = Statement(sa.select((1 / all_of_it).label("one")))

    def values(self, writes: Sequence[Write]) -> dict[str, object]:
        values: dict[str, object] = {}
        for number, (each, new) in enumerate(zip(writes, self._given, strict=True)):
            values |= new.values(each.rows)
            values[_wanted(number)] = len(each.rows)
        return values

    def may_be_alone(self, connection: AsyncConnection) -> bool:
        return self._alone.may_be_alone(connection)

    async def written_alone(self, connection: AsyncConnection, values: Mapping[str, object]) -> bool:
        """Whether each row was written. If one was not, nothing was: the statement ended with an error."""
        try:
            await self._alone.rows(connection, values, alone=True, unheard=_ROW_MISSING)
        except Exception as error:
            if sqlstate_of(error) != _ROW_MISSING:
                raise
            return False
        return True


def _wanted(number: int) -> str:
    return f"rows_{number}"


@cache
def _together(*forms: WriteForm) -> _Together:
    return _Together(forms)
