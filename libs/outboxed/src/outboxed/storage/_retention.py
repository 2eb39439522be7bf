"""Prunes what is no longer needed, in the background and in small steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from outboxed._logs import get_logger
from outboxed._stopping import Stop, at_most, turns_until
from outboxed.storage import tables
from outboxed.storage._clock import Clock
from outboxed.storage._errors import is_transient

log = get_logger()

EVERY_SECONDS = 60.0
STEP = 5000


@dataclass(frozen=True)
class Retention:
    """Rows of `table` whose time in `column` is older than `keep` are deleted."""

    table: sa.Table
    column: str
    keep: timedelta


OWN_RETENTIONS = (
    # twice Kafka's retention: no event that can still be read again is forgotten
    Retention(tables.inbox, "handled_at", timedelta(days=14)),
    # open letters have no closed_at and stay
    Retention(tables.dead_letters, "closed_at", timedelta(days=14)),
)


class Pruner:
    """Prunes beside the worker; several pruners at once do no harm."""

    grace: ClassVar[float] = 1.0
    """Seconds for the current step to end after `stop`."""

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        retentions: Sequence[Retention] = (),
        *,
        own: Sequence[Retention] = OWN_RETENTIONS,
    ) -> None:
        """`retentions` are those of the service's own tables, `own` those of outboxed's."""
        self._engine = engine
        self._clock = clock
        self._retentions = (*own, *retentions)

    async def run(self, stop: Stop) -> None:
        """Prune every minute until `stop`."""
        for _ in turns_until(stop):
            try:
                await self.prune()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("prune_failed", error=repr(error))
            async with at_most(EVERY_SECONDS):
                await stop.wait()

    async def prune(self) -> int:
        """Delete what is too old; returns the number of rows."""
        return sum([await self._prune(retention) for retention in self._retentions])

    async def _prune(self, retention: Retention) -> int:
        table, column = retention.table, retention.table.c[retention.column]
        key = table.primary_key.columns.values()
        # a subquery is computed once; the bare function is computed for each row, and then no index is used
        limit = sa.select(sa.func.clock_timestamp() + (self._clock.offset - retention.keep)).scalar_subquery()
        old = sa.select(*key).where(column < limit).limit(STEP).with_for_update(skip_locked=True).cte("old")
        statement = sa.delete(table).where(sa.tuple_(*key).in_(sa.select(old)))
        total, deleted = 0, STEP
        while deleted == STEP:
            async with self._engine.begin() as connection:
                deleted = (await connection.execute(statement)).rowcount
            total += deleted
        return total
