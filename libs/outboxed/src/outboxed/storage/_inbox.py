"""The inbox: which events this service has handled, by source and id."""

from collections.abc import Iterable
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed.failpoints import failpoint
from outboxed.messages import EventIdentity
from outboxed.storage import tables
from outboxed.storage._clock import Clock
from outboxed.storage._statements import Statement, Steps, UnnestedRows, run_steps

_SEPARATOR = "\x1f"
"""Between id and source in a namesake's row; neither may hold a control character (see attributes_of)."""
_WANTED = UnnestedRows({"event_id": sa.Text(), "source": sa.Text(), "namesake": sa.Text()}, alias="wanted")

Insertion = Steps[set[EventIdentity]]


def handled_identity(event_id: str, source: str | None) -> EventIdentity:
    """Which event a row of the inbox stands for; a row without a source is of a release that noted none."""
    return EventIdentity(source or "", event_id.partition(_SEPARATOR)[0])


class InboxStatements:
    """How events are claimed in an inbox table; the statements are made once for a table."""

    def __init__(self, table: sa.Table) -> None:
        self._table = table
        self._ids = self._claim(self._new_ids())
        self._namesakes = self._claim(self._new_namesakes())

    @property
    def sql(self) -> sa.Executable:
        """The statement by which events are claimed."""
        return self._ids.sql  # type: ignore[no-any-return]  # a Statement takes any

    def insertion(self, events: Iterable[EventIdentity], offset: timedelta) -> Insertion:
        """Returns the events that were new.

        Events are sorted, so that two owners of a partition during a rebalance can't deadlock.
        """
        rows = [
            {"event_id": event.id, "source": event.source, "namesake": f"{event.id}{_SEPARATOR}{event.source}"}
            for event in sorted(set(events))
        ]
        values = {**_WANTED.values(rows), "offset": offset}
        new = {handled_identity(*row) for row in (yield self._ids, values)}
        if len(new) < len(rows):
            new |= {handled_identity(*row) for row in (yield self._namesakes, values)}
        return new

    def _claim(self, keys: sa.Select[str, str]) -> Statement:
        handled_at = sa.func.clock_timestamp() + sa.bindparam("offset", type_=sa.Interval())
        rows = keys.add_columns(handled_at.label("handled_at")).order_by(_WANTED.table.c.position)
        statement = insert(self._table).from_select(["event_id", "source", "handled_at"], rows)
        # no conflict hides another event: the key is the event's identity, or the caller looks at the key's source
        new = statement.on_conflict_do_nothing().returning(self._table.c.event_id, self._table.c.source)
        return Statement(new)

    def _new_ids(self) -> sa.Select[str, str]:
        wanted, known = _WANTED.table, self._table.alias("known")
        # a namesake's row may outlive the row of the id, by which it would be new again
        handled_as_namesake = sa.exists().where(known.c.event_id == wanted.c.namesake)
        return sa.select(wanted.c.event_id, wanted.c.source).where(~handled_as_namesake)

    def _new_namesakes(self) -> sa.Select[str, str]:
        wanted, known = _WANTED.table, self._table.alias("known")
        is_anothers = (known.c.event_id == wanted.c.event_id) & (known.c.source != wanted.c.source)
        return sa.select(wanted.c.namesake, wanted.c.source).join(known, is_anothers)


_OF_THE_SERVICE = InboxStatements(tables.inbox)


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
        """See ports.Inbox."""
        return await run_steps(self._connection, _OF_THE_SERVICE.insertion(events, self._clock.offset))
