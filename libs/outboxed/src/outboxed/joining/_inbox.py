"""The inbox of a project of one's own: a FastStream handler takes effect once in its database."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from outboxed.joining._handlers import Sessions, once, records_of
from outboxed.joining._running import (
    AnyEngine,
    Committed,
    asynchronous,
    in_background,
    refuse_autocommit,
    refuse_autocommit_sync,
)
from outboxed.messages import EventIdentity
from outboxed.storage import Clock, InboxStatements, Pruner, Retention, run_steps, run_steps_sync, tables

MAX_BYTES = 1300
"""Of an id and of a source, in UTF-8: an index has both, and PostgreSQL takes 2704 bytes."""
KEEP = timedelta(days=14)
"""Twice Kafka's default retention: no event that can still be read again is forgotten."""

Identify = str | Callable[[Any], object]
"""The header that has an event's id, or a rule `record -> id or None`; a record is aiokafka's."""
H = TypeVar("H", bound=Callable[..., Any])


class Inbox:
    """Remembers which events a handler has handled, in the transaction in which it handles them.

    `identify` says what an event is known by. By default it's CloudEvents' `ce_id` with `ce_source`. A record without
    one is known by its topic, partition and offset: it takes effect once, but not a copy that its producer sent.

    The table is made in `metadata`, so that the project's alembic makes and keeps it; without it in a MetaData of its
    own, `inbox.metadata`. Its name is `prefix` and `inbox`, or `table`; `schema` is the MetaData's unless given.
    """

    def __init__(
        self,
        *,
        identify: Identify | None = None,
        metadata: sa.MetaData | None = None,
        schema: str | None = None,
        prefix: str = "outboxed_",
        table: str | None = None,
    ) -> None:
        self.metadata = sa.MetaData() if metadata is None else metadata
        self.table = tables.inbox_in(self.metadata, table or f"{prefix}inbox", schema)
        self._statements = InboxStatements(self.table)
        self._identify = identify

    def once(
        self, sessions: Sessions | None = None, *, session: str = "session", name: str | None = None
    ) -> Callable[[H], H]:
        """Let a handler of `@broker.subscriber` take effect once: put this below it.

        With `sessions` the inbox opens one for each message, gives it to the handler's parameter `session`, and commits
        after the handler. Without, the parameter has a session already, as by `Depends`, and the handler or the
        dependency commits it. What the handler writes by that session is committed with the inbox, or not at all.

        A message that was handled before is not given to the handler. Of a batch, its list has the new ones alone; if
        there are none, the handler isn't called. `name` stands for the handler in the inbox, by default its module and
        name: a handler that gets another name handles again what comes again.

        Raises TypeError for a handler without the parameter `session`.
        """

        def wrap(handler: H) -> H:
            return once(self, handler, sessions=sessions, parameter=session, name=name)

        return wrap

    async def claim(self, session: AsyncSession | AsyncConnection, message: Any, *, name: str) -> bool:
        """Whether a message is new to the handler `name`; if so it is handled once the session commits.

        For a handler that opens its transaction itself. `message` is FastStream's, a record of aiokafka, or an id.
        """
        return bool(await self.new(session, records_of(message), name))

    def claim_sync(self, session: Session | sa.Connection, message: Any, *, name: str) -> bool:
        """The same for a session that isn't asynchronous."""
        return bool(self.new_sync(session, records_of(message), name))

    @asynccontextmanager
    async def pruned(self, engine: AnyEngine, *, keep: timedelta = KEEP) -> AsyncIterator[None]:
        """Forget what was handled before `keep`, each minute while the block runs, as in an app's lifespan.

        `engine` is as for `Outbox.relay`. No error ends the block. One that nobody foresaw is logged, and pruning
        begins again after five seconds.
        """
        async with asynchronous(engine) as own:
            pruner = Pruner(own, Clock(), own=[Retention(self.table, "handled_at", keep)])
            async with in_background(pruner, Committed(), name="pruner"):
                yield

    def identity_of(self, record: Any, name: str) -> EventIdentity:
        """What the inbox knows a record by, for the handler `name`."""
        if not hasattr(record, "headers"):
            return EventIdentity("", _storable(f"{name} {record}"))
        headers = {each: raw.decode(errors="backslashreplace") for each, raw in record.headers if raw is not None}
        own = self._own_id(record, headers)
        own = None if own is None else str(own)
        source = headers.get("ce_source", "") if self._identify is None and own else ""
        place = f"{record.topic}/{record.partition}/{record.offset}"
        return EventIdentity(_storable(source), _storable(f"{name} {own or place}"))

    def _own_id(self, record: Any, headers: Mapping[str, str]) -> object:
        if callable(self._identify):
            return self._identify(record)
        return headers.get(self._identify or "ce_id")

    def _insertion(self, records: Sequence[Any], name: str) -> Any:
        return self._statements.insertion([self.identity_of(each, name) for each in records], timedelta(0))

    async def new(self, session: AsyncSession | AsyncConnection, records: Sequence[Any], name: str) -> list[int]:
        """The places of those records that are new to the handler `name`, without copies among them.

        Raises ConfigurationError for a session that commits each statement by itself: after an error of the handler
        the event would be handled.
        """
        await refuse_autocommit(session, self._statements.sql)
        return self._places(await run_steps(session, self._insertion(records, name)), records, name)

    def new_sync(self, session: Session | sa.Connection, records: Sequence[Any], name: str) -> list[int]:
        """The same for a session that isn't asynchronous."""
        refuse_autocommit_sync(session, self._statements.sql)
        return self._places(run_steps_sync(session, self._insertion(records, name)), records, name)

    def _places(self, new: set[EventIdentity], records: Sequence[Any], name: str) -> list[int]:
        first: dict[EventIdentity, int] = {}
        for place, record in enumerate(records):
            first.setdefault(self.identity_of(record, name), place)
        return sorted(place for identity, place in first.items() if identity in new)


def _storable(text: str) -> str:
    """Without control characters: one of them separates the parts of a namesake's key. What is too long is hashed."""
    shown = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)
    return shown if len(raw := shown.encode()) <= MAX_BYTES else f"sha256 {sha256(raw).hexdigest()}"
