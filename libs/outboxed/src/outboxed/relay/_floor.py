"""Where reading the outbox begins: an id at or below which no row is, and none will be."""

from collections.abc import Sequence
from functools import cache

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed.storage import Statement, named, tables

EVERY_ROWS = 1000
"""The floor is looked at after so many rows: passing them in the index costs less than two looks."""
_WRITERS = (
    "select virtualtransaction from pg_locks where granted and locktype = 'relation' "
    "and mode = 'RowExclusiveLock' and relation = 'OUTBOX'::regclass and pid is distinct from pg_backend_pid()"
)


class _Statements:
    """What the floor asks of two tables."""

    def __init__(self, outbox: sa.Table, letters: sa.Table) -> None:
        name = named(outbox).replace("'", "''").replace(":", r"\:")  # else it is a parameter
        self.writers = Statement(sa.text(_WRITERS.replace("OUTBOX", name)))
        self.lowest = Statement(
            sa.select(
                sa.func.least(
                    sa.bindparam("candidate", type_=sa.BigInteger),
                    sa.select(sa.func.min(outbox.c.id) - 1)
                    .where(outbox.c.id > sa.bindparam("above", type_=sa.BigInteger))
                    .scalar_subquery(),
                    sa.select(sa.func.min(letters.c.offset) - 1)
                    .where(sa.literal_column("source = 'outbox' and status = 'open'", sa.Boolean))
                    .scalar_subquery(),
                )
            )
        )


_statements = cache(_Statements)


class Floor:
    """Rises behind the rows that were sent.

    The oldest rows are deleted first. While somebody's transaction stays open, no vacuum removes them from the index,
    and a read from its start passes all of them each time. A floor that follows the last id sent would be wrong: ids
    are committed in another order than they are given out. This one is right, because

    - the sequence gives ids out in their order: once one was seen, all below it are given out;
    - whoever has been given one holds a lock of the outbox until its transaction ends. So when all have ended who held
      one after the highest id was seen, every row below that can be seen, or was never committed;
    - the floor stays below the rows that can be seen, and below open dead letters, whose rows may come back.
    """

    def __init__(self, outbox: sa.Table = tables.outbox, letters: sa.Table = tables.dead_letters) -> None:
        self._statements = _statements(outbox, letters)
        self.id = 0
        self._read = self._highest = self._candidate = 0
        self._writers: set[str] | None = None

    def passed(self, rows: int, ids: Sequence[int]) -> None:
        """So many rows were read, to be sent; `ids` has the lowest and the highest.

        One at or below the floor shows that a sequence was set back, and the floor begins at the start again.
        """
        if not ids:
            return
        if min(ids) <= self.id:
            self._begin_again()
        self._read += rows
        self._highest = max(self._highest, *ids)

    def heed(self, last: int) -> None:
        """Begin at the start again if the last id given out is below the floor, as after a fail-over that lost some."""
        if last < self.id:
            self._begin_again()

    def _begin_again(self) -> None:
        self.id, self._highest, self._writers = 0, 0, None

    async def rise(self, connection: AsyncConnection) -> None:
        """Look whether the floor can be higher, if it's time.

        Before anything is deleted in this transaction: a row that comes back after a rollback must be above the floor.
        """
        if self._read < EVERY_ROWS:
            return
        self._read = 0
        if self._writers is None:
            self._candidate = self._highest
            self._writers = await self._now_writing(connection)
        else:
            self._writers &= await self._now_writing(connection)
        if not self._writers:
            self._writers = None
            values = {"candidate": self._candidate, "above": self.id}
            (lowest,) = await self._statements.lowest.values(connection, values)
            self.id = max(self.id, lowest)

    async def _now_writing(self, connection: AsyncConnection) -> set[str]:
        """The transactions that may have been given an id and not ended."""
        return set(await self._statements.writers.values(connection))
