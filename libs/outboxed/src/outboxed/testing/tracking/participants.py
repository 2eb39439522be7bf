"""The services of a tracked session: in memory and moved by the session, or running by themselves."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from faststream.kafka import TestKafkaBroker

from outboxed._compat.aiokafka import read_any_batch
from outboxed.consuming import BatchConsumer, Route, create_broker, subscribe
from outboxed.messages import Record, attributes_of
from outboxed.process import Metrics, Service
from outboxed.settings import Database, KafkaSettings
from outboxed.storage import Clock
from outboxed.tasks import TaskKind, Worker
from outboxed.testing.memory import InMemoryDatabase, InMemoryTaskQueue
from outboxed.testing.records import consumer_record
from outboxed.testing.topic_log import header
from outboxed.testing.tracking.bus import Bus

if TYPE_CHECKING:
    from backing_services.postgres.server import Connection

WAIT_MS = 200
FETCH_WAIT_MS = 20
"""Short: MockKafka answers an empty fetch only after this wait, and a client closes only after the answer."""
OUTBOX = "select headers->>'ce_type' as name, key from outbox order by id"
TASKS = """
select kind as name, key, due_at <= clock_timestamp() + $1 as due, last_error from tasks order by due_at
"""
COUNTED = """
select coalesce((select max(id) from outbox), 0), coalesce((select max(id) from tasks), 0),
       (select count(*) from inbox), (select count(*) from dead_letters)
"""
DEAD_LETTERS = "select coalesce(topic, ''), reason from dead_letters where status = 'open' order by id"


class StuckRecordError(AssertionError):
    """A consumer neither handled a record nor made it a dead letter: its transaction fails each time."""


@dataclass(frozen=True)
class PendingWork:
    """What a participant has still to do (`now`) or will do when its time comes (`later`), in words."""

    now: Sequence[str] = ()
    later: Sequence[str] = ()
    dead_letters: Sequence[str] = ()
    progress: object = None
    """Equal to the last `progress` if nothing moved in between."""


@dataclass
class InMemoryParticipant:
    """A service on outboxed.testing.memory: its handlers, consumer and tasks are the real ones.

    `database` is the service's InMemoryDatabase, `routes` what it consumes, `kinds` its tasks.
    """

    name: str
    database: InMemoryDatabase[Any]
    routes: Sequence[Route[Any]]
    kinds: Sequence[TaskKind[Any]] = ()
    _stack: AsyncExitStack = field(init=False, repr=False, default_factory=AsyncExitStack)
    _bus: Bus = field(init=False, repr=False)
    _last: int = field(init=False, repr=False, default=0)

    def __post_init__(self) -> None:
        kafka = KafkaSettings(("in-memory:9092",))
        consumer: BatchConsumer[Any] = BatchConsumer(self.name, self.routes, self.database, Metrics(self.clock))
        broker = create_broker(kafka)
        self._subscriber = subscribe(broker, consumer, kafka) if self.routes else None
        self._broker = TestKafkaBroker(broker)
        self._worker = Worker(
            self.kinds, InMemoryTaskQueue(self.database), self.database, self.database.tasks_scheduled
        )

    @property
    def clock(self) -> Clock:
        """The clock that moves its deadlines."""
        return self.database.clock

    @property
    def services(self) -> Mapping[str, str]:
        """The service of each of its kinds of task."""
        return {kind.name: self.name for kind in self.kinds}

    async def begin(self, bus: Bus, reader: "TopicReader | None") -> None:
        """Join a session; rows that are already in the outbox don't belong to the session."""
        del reader
        self._bus = bus
        self._last = max(self.database.state.outbox, default=0)
        bus.subscribe(self.name, ((route.model.topic, route.model.type) for route in self.routes))
        await self._stack.enter_async_context(self._broker)

    async def end(self) -> None:
        """Leave it."""
        await self._stack.aclose()

    async def move(self) -> bool:
        """Send the outbox, handle the records on the bus, do the due tasks; returns whether there was anything to do.

        Raises StuckRecordError.
        """
        new = {number: record for number, record in self.database.state.outbox.items() if number > self._last}
        for number, record in new.items():
            self._last = number
            self._bus.send(record)
        batch = self._bus.take(self.name)
        if batch and self._subscriber is not None:
            await self._subscriber.process_message(tuple(map(_as_read, batch)))
            self._refuse_stuck(batch)
        return bool(new or batch or await self._worker.run_due())

    def _refuse_stuck(self, batch: Sequence[Record]) -> None:
        state = self.database.state
        dead = {letter.record.offset for letter in state.dead_letters.values()}
        for record in batch:
            if record.offset not in dead and attributes_of(record).identity not in state.inbox:
                raise StuckRecordError(f"{self.name} can't handle {_told(record)}, it would come again for ever")

    async def pending(self) -> PendingWork:
        """What is left to do."""
        state, now = self.database.state, self.clock.now()
        unsent = [record.headers["ce_type"] for number, record in state.outbox.items() if number > self._last]
        due = [f"{row.new.kind} {row.new.key}" for row in state.tasks.values() if row.due_at <= now]
        later = [f"{row.new.kind} {row.new.key}" for row in state.tasks.values() if row.due_at > now]
        waiting = [f"{_told(record)} on the bus" for record in self._bus.waiting.get(self.name, ())]
        letters = [f"{letter.record.topic}: {letter.reason}" for letter in state.dead_letters.values()]
        letters += [f"{task.kind}: {reason}" for task, reason in state.buried_tasks]
        return PendingWork([*(f"{name} in the outbox" for name in unsent), *waiting, *due], later, letters)


@dataclass
class RunningParticipant:
    """A service that runs on PostgreSQL and Kafka, in this process or in others; `of` makes one of a Service.

    `consumes` are the topics that it reads, `publishes` those that it writes to, without the prefix of `kafka`; `tasks`
    are its kinds of task.
    `Session.advance` needs `clock`, the service's own.
    """

    name: str
    database_url: Database | str
    kafka: KafkaSettings
    consumes: Sequence[str]
    tasks: Sequence[str] = ()
    clock: Clock | None = None
    publishes: Sequence[str] = ()
    _stack: AsyncExitStack = field(init=False, repr=False, default_factory=AsyncExitStack)

    @classmethod
    def of(cls, service: Service[Any]) -> Self:
        """A service that runs in this process."""
        return cls(
            name=service.consumer.group,
            database_url=service.settings.database_url,
            kafka=service.settings.kafka,
            consumes=service.consumer.topics,
            tasks=[kind.name for kind in service.worker.kinds],
            clock=service.transactions.clock,
            publishes=sorted({event.topic for event in service.published}),
        )

    @property
    def services(self) -> Mapping[str, str]:
        """The service of each of its kinds of task."""
        return dict.fromkeys(self.tasks, self.name)

    async def begin(self, bus: Bus, reader: "TopicReader | None") -> None:
        """Open a connection and a client that reads the group's offsets without joining it."""
        import asyncpg  # noqa: PLC0415 - see backing_services.postgres.server.connected

        del bus
        assert reader is not None  # noqa: S101 - a session with a running participant has one
        self._reader = reader
        self._connection: Connection = await asyncpg.connect(**Database.parse(self.database_url).connect_options())
        self._stack.push_async_callback(self._connection.close)
        self._offsets = await self._stack.enter_async_context(
            AIOKafkaConsumer(**self.kafka.client_options(), group_id=self.name, enable_auto_commit=False)
        )

    async def end(self) -> None:
        """Close them."""
        await self._stack.aclose()

    async def move(self) -> bool:
        """Nothing to do: the service runs by itself."""
        return False

    async def pending(self) -> PendingWork:
        """What is left to do; offsets are read last, because a record leaves the outbox only once it is in Kafka."""
        counted = await self._connection.fetchrow(COUNTED)
        now = [f"{row['name']} {row['key']} in the outbox" for row in await self._connection.fetch(OUTBOX)]
        later: list[str] = []
        for row in await self._connection.fetch(TASKS, self.clock.offset if self.clock else timedelta(0)):
            error = f" (last: {row['last_error']})" if row["last_error"] else ""
            (now if row["due"] else later).append(f"{row['name']} {row['key']}{error}")
        letters = [f"{topic}: {reason}" for topic, reason in await self._connection.fetch(DEAD_LETTERS)]
        ends = await self._reader.ends(self.consumes)
        behind = {at: end - (await self._offsets.committed(at) or 0) for at, end in ends.items()}
        if count := sum(behind.values()):
            now.append(f"{count} records before {self.name}")
        return PendingWork(now, later, letters, progress=(counted, tuple(ends.items())))


@dataclass
class TopicReader:
    """The records that running participants publish, from the moment of `begin`; names are without the prefix."""

    kafka: KafkaSettings
    topics: Sequence[str]
    _stack: AsyncExitStack = field(init=False, repr=False, default_factory=AsyncExitStack)
    _records: list[Record] = field(init=False, repr=False, default_factory=list)

    async def begin(self) -> None:
        """Remember where the topics end now."""
        read_any_batch()
        names = [self.kafka.topic(name) for name in self.topics]
        options = {**self.kafka.client_options(), "enable_auto_commit": False, "fetch_max_wait_ms": FETCH_WAIT_MS}
        client = AIOKafkaConsumer(*names, **options)
        self._consumer = await self._stack.enter_async_context(client)
        for partition, end in (await self.ends(self.topics)).items():
            self._consumer.seek(partition, end)

    async def end(self) -> None:
        """Close the client."""
        await self._stack.aclose()

    async def ends(self, topics: Sequence[str]) -> dict[TopicPartition, int]:
        """How many records each partition of these topics has had so far."""
        names = {self.kafka.topic(name) for name in topics}
        partitions = [one for one in self._consumer.assignment() if one.topic in names]
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(sorted(partitions))
        return ends

    async def read(self) -> Sequence[Record]:
        """All records since `begin`, those of a partition in order."""
        ends = await self.ends(self.topics)
        while any([await self._consumer.position(partition) < end for partition, end in ends.items()]):
            for batch in (await self._consumer.getmany(timeout_ms=WAIT_MS)).values():
                self._records += [Record.of(read, topic_prefix=self.kafka.topic_prefix) for read in batch]
        return self._records


def _as_read(record: Record) -> Any:
    return consumer_record(
        record.topic,
        record.value,
        key=record.key,
        headers=record.headers,
        partition=record.partition,
        offset=record.offset,
    )


def _told(record: Record) -> str:
    return f"{header(record, 'ce_type')} of {(record.key or b'').decode()}"
