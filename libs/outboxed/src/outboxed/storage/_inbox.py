"""The inbox: which events this service has handled, by source and id."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert

from outboxed.failpoints import failpoint
from outboxed.messages import EventIdentity
from outboxed.storage import tables
from outboxed.storage._clock import Clock
from outboxed.storage._database import UnnestedRows

_SEPARATOR = "\x1f"
"""Between id and source in a namesake's row; neither may hold a control character (see attributes_of)."""
_WANTED = UnnestedRows({"event_id": sa.Text(), "source": sa.Text(), "namesake": sa.Text()}, alias="wanted")


def handled_identity(event_id: str, source: str | None) -> EventIdentity:
    """Which event a row of the inbox stands for; a row without a source is of a release that noted none."""
    return EventIdentity(source or "", event_id.partition(_SEPARATOR)[0])


class SqlInbox:
    """The inbox table.

    A row's key is the event's id. An event that comes later under the same id from another source is a namesake: the
    key of its row is id and source. So rows of the release before, which have no source, stay valid, and that release
    may run at the same time.
    """

    def __init__(self, connection: AsyncConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    @failpoint("inbox.insert")
    async def insert(self, events: Iterable[EventIdentity]) -> set[EventIdentity]:
        """See ports.Inbox. Events are sorted, so that two owners of a partition during a rebalance can't deadlock."""
        rows = [
            {"event_id": event.id, "source": event.source, "namesake": f"{event.id}{_SEPARATOR}{event.source}"}
            for event in sorted(set(events))
        ]
        values = {**_WANTED.values(rows), "offset": self._clock.offset}
        new = await self._claim(_CLAIM_IDS, values)
        if len(new) < len(rows):
            new |= await self._claim(_CLAIM_NAMESAKES, values)
        return new

    async def _claim(self, statement: ReturningInsert[str, str], values: dict[str, object]) -> set[EventIdentity]:
        return {handled_identity(*row) for row in await self._connection.execute(statement, values)}


def _claim(keys: sa.Select[str, str]) -> ReturningInsert[str, str]:
    handled_at = sa.func.clock_timestamp() + sa.bindparam("offset", type_=sa.Interval())
    rows = keys.add_columns(handled_at.label("handled_at")).order_by(_WANTED.table.c.position)
    statement = insert(tables.inbox).from_select(["event_id", "source", "handled_at"], rows)
    # no conflict hides another event: the key is the event's identity, or the caller looks at the key's source
    return statement.on_conflict_do_nothing().returning(tables.inbox.c.event_id, tables.inbox.c.source)


def _ids() -> sa.Select[str, str]:
    wanted, known = _WANTED.table, tables.inbox.alias("known")
    # a namesake's row may outlive the row of the id, by which it would be new again
    handled_as_namesake = sa.exists().where(known.c.event_id == wanted.c.namesake)
    return sa.select(wanted.c.event_id, wanted.c.source).where(~handled_as_namesake)


def _namesakes() -> sa.Select[str, str]:
    wanted, known = _WANTED.table, tables.inbox.alias("known")
    is_anothers = (known.c.event_id == wanted.c.event_id) & (known.c.source != wanted.c.source)
    return sa.select(wanted.c.namesake, wanted.c.source).join(known, is_anothers)


_CLAIM_IDS = _claim(_ids())
_CLAIM_NAMESAKES = _claim(_namesakes())
