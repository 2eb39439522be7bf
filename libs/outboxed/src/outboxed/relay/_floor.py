"""Where reading the outbox begins: an id at or below which no row is, and none will be."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed.relay._statement import Statement
from outboxed.storage import tables

EVERY_ROWS = 1000
"""The floor is looked at after so many rows: passing them in the index costs less than two looks."""
_OUTBOX, _LETTERS = tables.outbox, tables.dead_letters

_WRITERS = Statement(
    sa.text(
        "select virtualtransaction from pg_locks where granted and locktype = 'relation' "
        "and mode = 'RowExclusiveLock' and relation = 'outbox'::regclass and pid is distinct from pg_backend_pid()"
    )
)
_LOWEST = Statement(
    sa.select(
        sa.func.least(
            sa.bindparam("candidate", type_=sa.BigInteger),
            sa.select(sa.func.min(_OUTBOX.c.id) - 1)
            .where(_OUTBOX.c.id > sa.bindparam("above", type_=sa.BigInteger))
            .scalar_subquery(),
            sa.select(sa.func.min(_LETTERS.c.offset) - 1)
            .where(sa.literal_column("source = 'outbox' and status = 'open'", sa.Boolean))
            .scalar_subquery(),
        )
    )
)


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

    def __init__(self) -> None:
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
            self._writers = await _writers(connection)
        else:
            self._writers &= await _writers(connection)
        if not self._writers:
            self._writers = None
            lowest = (await _LOWEST(connection, candidate=self._candidate, above=self.id)).scalar_one()
            self.id = max(self.id, lowest)


async def _writers(connection: AsyncConnection) -> set[str]:
    """The transactions that may have been given an id and not ended."""
    return set((await _WRITERS(connection)).scalars())
