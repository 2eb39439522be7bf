"""The outbox of a project of one's own: published in its own transactions, sent by a relay beside it."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa

from outboxed._traceparent import current_traceparent
from outboxed.joining._events import Address, Key, Topic, address_of, record_of
from outboxed.joining._running import (
    AnyEngine,
    AsyncTransaction,
    Committed,
    SyncTransaction,
    asynchronous,
    in_background,
)
from outboxed.messages import new_event_id
from outboxed.relay import KafkaClient, Relay
from outboxed.settings import parse_bootstrap_servers
from outboxed.storage import insertion_into, rows_of, tables, translated

C = TypeVar("C", bound=type)


@dataclass(frozen=True)
class _Servers:
    """Kafka by its addresses; `options` are those of `aiokafka.AIOKafkaProducer`."""

    addresses: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)

    def topic(self, name: str) -> str:
        return name

    def client_options(self) -> dict[str, Any]:
        return {"bootstrap_servers": list(self.addresses), **self.options}


def _client(kafka: KafkaClient | str | Sequence[str], options: Mapping[str, Any]) -> KafkaClient:
    if not isinstance(kafka, str | Sequence):
        if options:
            raise TypeError(f"{', '.join(options)}: a KafkaClient has its options itself")
        return kafka
    if "bootstrap_servers" in options:
        raise TypeError("bootstrap_servers: the relay's second argument says where Kafka is")
    try:
        addresses = parse_bootstrap_servers(kafka if isinstance(kafka, str) else ",".join(kafka))
    except ValueError as error:
        raise ValueError(f"Kafka's address {error}") from None
    return _Servers(addresses, options)


class Outbox:
    """Events that are sent if, and only if, the transaction commits in which they were published.

    `source` is CloudEvents' source, such as `/shop`: with it each record has `ce_` headers, without it none has.
    `topic` and `key` are for events that don't say their own: a topic or a rule `event -> topic`, and the name of a
    field or a rule `event -> key`. Events of one key arrive in order; an event without a key goes by its id.

    The tables are made in `metadata`, so that the project's alembic makes and keeps them; without it in a MetaData of
    their own, `outbox.metadata`. Their names are `prefix` and `outbox` or `dead_letters`, unless `table` or
    `dead_letters_table` names one; `schema` is the MetaData's unless given. Raises ValueError for a name over 40
    characters.
    """

    def __init__(  # noqa: PLR0913 - each is one word of a project's own
        self,
        *,
        source: str | None = None,
        topic: Topic | None = None,
        key: Key | None = None,
        metadata: sa.MetaData | None = None,
        schema: str | None = None,
        prefix: str = "outboxed_",
        table: str | None = None,
        dead_letters_table: str | None = None,
    ) -> None:
        self.metadata = sa.MetaData() if metadata is None else metadata
        self.table = tables.outbox_in(self.metadata, table or f"{prefix}outbox", schema)
        self.dead_letters = tables.dead_letters_in(self.metadata, dead_letters_table or f"{prefix}dead_letters", schema)
        self._source = source
        self._default = Address(topic=topic, key=key)
        self._known: dict[type, Address] = {}
        self._insertion = insertion_into(self.table)
        self._committed = Committed()

    def event(
        self,
        type: str | None = None,  # noqa: A002 - CloudEvents' own word
        *,
        topic: Topic | None = None,
        key: Key | None = None,
    ) -> Callable[[C], C]:
        """Say for a class, and its subclasses, what its events are; the class stays as it is."""

        def known(cls: C) -> C:
            self._known[cls] = Address(type, topic, key)
            return cls

        return known

    async def publish(  # noqa: PLR0913 - each replaces what the class says
        self,
        session: AsyncTransaction,
        event: object,
        *,
        type: str | None = None,  # noqa: A002 - CloudEvents' own word
        topic: str | None = None,
        key: object = None,
        id: str | UUID | None = None,  # noqa: A002 - CloudEvents' own word
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Write an event into the session's transaction; returns its id.

        The session is flushed first: so the event's place in the order of its key is that of the row that was changed.
        Raises ValueError, TypeError and EventTooLargeError for an event that can't be sent, and ConfigurationError for
        a session that commits each statement by itself.
        """
        event_id = str(id or new_event_id())
        values = self._values(event, Address(type, topic), event_id, key=key, headers=headers)
        joined = await self._committed.joined(session, self._insertion)
        await joined.execute(self._insertion, values)
        return event_id

    def publish_sync(  # noqa: PLR0913 - as above
        self,
        session: SyncTransaction,
        event: object,
        *,
        type: str | None = None,  # noqa: A002 - CloudEvents' own word
        topic: str | None = None,
        key: object = None,
        id: str | UUID | None = None,  # noqa: A002 - CloudEvents' own word
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """The same for a session that isn't asynchronous, as of Flask, a script, or a function in FastAPI's threads."""
        event_id = str(id or new_event_id())
        values = self._values(event, Address(type, topic), event_id, key=key, headers=headers)
        self._committed.joined_sync(session, self._insertion).execute(self._insertion, values)
        return event_id

    def _values(
        self, event: object, given: Address, event_id: str, *, key: object, headers: Mapping[str, str] | None
    ) -> dict[str, object]:
        address = given.or_else(address_of(event, self._known)).or_else(self._default)
        record = record_of(
            event,
            address,
            source=self._source,
            event_id=event_id,
            key=key,
            headers=headers,
            traceparent=current_traceparent(),
        )
        return rows_of([record])

    @asynccontextmanager
    async def relay(
        self, engine: AnyEngine, kafka: KafkaClient | str | Sequence[str], **options: Any
    ) -> AsyncIterator[None]:
        """Send what was committed while the block runs, as in an app's lifespan.

        Any number of processes may do so: one at a time sends, and the others stand by. `engine` is the project's own;
        of one that isn't asynchronous, and of a URL, the relay makes an asynchronous one by asyncpg, which comes with
        `outboxed[asyncpg]` (else MissingExtraError, a ModuleNotFoundError, says so). `kafka` is
        `host:port,...`, and `options` are those of `aiokafka.AIOKafkaProducer`, such as `security_protocol`. The relay
        has some of its own, such as `acks`. Raises ValueError for a wrong address, and TypeError for an option that
        aiokafka doesn't know or the relay doesn't take.

        No error ends the block. One that nobody foresaw is logged, and the relay begins again after five seconds.
        """
        client = _client(kafka, options)
        async with asynchronous(engine) as own:
            outbox, letters = translated(self.table, own), translated(self.dead_letters, own)
            plain = own.execution_options(schema_translate_map=None)
            relay = Relay(plain, client, self._committed.wakeup, outbox=outbox, letters=letters)
            await relay.check()
            async with in_background(relay, self._committed, name="relay"):
                yield
