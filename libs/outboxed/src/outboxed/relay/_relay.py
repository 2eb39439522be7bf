"""The relay: sends outbox rows to Kafka in the order of their keys and deletes them after the acknowledgement."""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import ClassVar, TypeVar

import sqlalchemy as sa
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outboxed._contact import KafkaContact
from outboxed._logs import get_logger
from outboxed._stopping import Stop, turns_until
from outboxed._wakeups import Idling, Wakeup, woken_at
from outboxed.failpoints import failpoint
from outboxed.relay._floor import Floor
from outboxed.relay._flow import Batch, Flow
from outboxed.relay._outcomes import Outcomes, RelayMetrics
from outboxed.relay._partitioner import partition_of
from outboxed.relay._producer import BatchProducer, KafkaClient, Outcome
from outboxed.relay._row import NO_TOPIC, Row, UnsendableRowError, may_be_a_topic
from outboxed.relay._rows import Hold, Place, Rows
from outboxed.storage import is_transient, single_statements, tables

log = get_logger()

BATCH = 1000
"""Rows that are read at once. With a backlog each of them costs a third of what it costs with a hundred."""
TURNS_SECONDS = 0.2
"""So long a pass goes on with what it has read, while Kafka takes everything."""
SCAN = 10_000
"""While a part of Kafka takes nothing, so many rows are looked through for those of the other parts."""
ACK_SECONDS = 3.0
OUTAGE_SECONDS = 0.5
HELD_SHARE = 19
"""While other rows wait, held rows get one part in twenty of the time."""
RELEASE_SECONDS = 0.5
"""Rows go on so soon after what was in front of them."""
FROM_THE_START_SECONDS = 30.0
"""So often all of the outbox is read, in case that somebody set its sequence back or put a row in by hand."""
NOWHERE = -1
"""The partition of a row that no producer could send."""

R = TypeVar("R", Row, Place)


class Relay:
    """Sends the outbox of a service while its transaction holds the lock; other relays stand by.

    A partition gets one batch, and the next one when Kafka has acknowledged it. So a crash or an error sends rows again
    (at least once), but never a later event of a key without the earlier one. A row that Kafka refuses for good is set
    aside as a dead letter, and holds up its key alone.
    """

    grace: ClassVar[float] = 1.0
    """Seconds for the current batch to end after `stop`."""

    def __init__(  # noqa: PLR0913 - a test gives a part of its own
        self,
        engine: AsyncEngine,
        kafka: KafkaClient,
        appended: Wakeup,
        contact: KafkaContact | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        metrics: RelayMetrics | None = None,
        outbox: sa.Table = tables.outbox,
        letters: sa.Table = tables.dead_letters,
    ) -> None:
        self._engine = engine
        self._appended = appended.subscribe()
        self._contact = contact or KafkaContact()
        self._clock = clock
        self._metrics = metrics
        self._producer = BatchProducer(kafka)
        self._flow = Flow(clock)
        self._rows = Rows(outbox, letters)
        self._outcomes = Outcomes(self._rows, self._flow, self._contact, clock, metrics)
        self._floor = Floor(outbox, letters)
        self._look_at = self._release_at = self._start_at = clock()
        self._had_answers = self._is_quiet = False

    async def check(self) -> None:
        """Raises TypeError or ValueError for options of Kafka's client that no producer takes."""
        await self._producer.check()

    async def run(self, stop: Stop) -> None:
        """Send until `stop`; a repeated error is logged once."""
        said = ""
        idling, told = Idling(), True
        async with woken_at(stop, self._appended):
            try:
                for _ in turns_until(stop):
                    begun = self._clock()
                    try:
                        sent = await self.send_once() if told or await self._is_any_there() else 0
                    except Exception as error:
                        if not (is_transient(error) or isinstance(error, KafkaError)):
                            raise
                        if isinstance(error, KafkaError):
                            self._contact.failed("relay")
                        self._tell(begun, failed=True)
                        if said != repr(error):
                            log.warning("relay_failed", error=repr(error))
                            said = repr(error)
                        await asyncio.sleep(OUTAGE_SECONDS)
                        told = True
                        continue
                    if sent:
                        said = ""
                        self._tell(begun, failed=False)
                    if self._had_answers:
                        idling.end()
                        told = True
                        continue
                    told = await idling.wait(self._appended, due_in=math.inf if self._is_quiet else None)
            finally:
                await self._producer.abandon()

    def _tell(self, begun: float, *, failed: bool) -> None:
        if self._metrics is not None:
            self._metrics.pass_ended(self._clock() - begun, failed=failed)

    async def _is_any_there(self) -> bool:
        """Whether a pass is worth it after a pause that nobody ended: one statement in place of a transaction."""
        if not (self._is_quiet and self._appended.hears_others):
            return True
        above = self._floor.id if self._clock() < self._start_at else 0
        async with single_statements(self._engine).connect() as connection:
            return await self._rows.is_any_there(connection, above=above)

    async def send_once(self) -> int:
        """Send a batch to each partition if this relay gets the lock; returns how many rows were acknowledged.

        Raises KafkaError when no producer can start, or when this one can't go on.
        """
        self._had_answers = self._is_quiet = False
        async with self._engine.connect() as connection:  # closing it without a commit rolls back
            locked, any_held, last = await self._rows.lock(connection)
            if not locked:
                self._contact.answered("relay")  # what another relay hears is that one's to tell
                return 0
            self._floor.heed(last)
            await self._floor.rise(connection)
            # first what Kafka took since the last time, so that it isn't sent again
            late, failure = await self._write(connection, await self._producer.settled((), within=0))
            acknowledged, failed = await self._send(connection, any_held=any_held)
            await self._rows.commit(connection)
        if failure := failure or failed:
            await self._producer.abandon()
            raise failure
        return late + acknowledged

    async def _send(self, connection: AsyncConnection, *, any_held: bool) -> tuple[int, BaseException | None]:
        began = self._clock()
        looks = any_held and began >= self._look_at
        held = await self._due(connection) if looks else []
        free = await self._free(connection)
        if not (held or free or self._producer.is_waiting or self._flow.has_pauses):
            self._contact.answered("relay")  # nothing waits for Kafka
            self._is_quiet = not any_held
        acknowledged, failure = await self._send_in_turns(connection, held, free)
        if looks:
            now = self._clock()
            self._look_at = now + (now - began) * HELD_SHARE if free else now
        return acknowledged, failure

    async def _write(
        self, connection: AsyncConnection, outcomes: Sequence[Outcome]
    ) -> tuple[int, BaseException | None]:
        self._had_answers = self._had_answers or bool(outcomes)
        return await self._outcomes.write(connection, outcomes)

    async def _due(self, connection: AsyncConnection) -> list[Row]:
        if self._clock() >= self._release_at:
            await self._rows.release(connection)
            self._release_at = self._clock() + RELEASE_SECONDS
        if ids := await self._ids_to_try_alone(await self._rows.due(connection, BATCH)):
            return await self._rows.held(connection, ids)
        return []

    async def _ids_to_try_alone(self, places: Sequence[Place]) -> Sequence[int]:
        """The first row of each partition that takes a batch, and those that no producer could send."""
        placed = await self._placed(places)
        of_no_topic = [place.id for place in places if not may_be_a_topic(place.topic)]
        return [*of_no_topic, *(its[0].id for partition, its in placed.items() if self._takes_a_batch(partition))]

    async def _free(self, connection: AsyncConnection) -> list[Row]:
        """The oldest rows that may be sent; those that must wait for another row are held on the way."""
        ids, above = None, self._begin_reading()
        if self._flow.has_pauses or self._producer.is_waiting:
            ids = await self._ids_elsewhere(connection, above)
        rows, behind = await self._rows.free(connection, BATCH, above=above, ids=ids)
        self._floor.passed(len(rows), [*(row.id for row in (*rows[:1], *rows[-1:])), *behind])
        if behind:
            await self._rows.hold_behind(connection, behind)
        return await self._without_known_refusals(connection, rows)

    def _begin_reading(self) -> int:
        now = self._clock()
        if now < self._start_at:
            return self._floor.id
        self._start_at = now + FROM_THE_START_SECONDS
        return 0

    async def _ids_elsewhere(self, connection: AsyncConnection, above: int) -> Sequence[int]:
        """The oldest rows whose partition takes batches, or that no producer could send."""
        places = await self._rows.places(connection, SCAN, above=above, without=self._flow.paused_topics())
        partitions = await self._partitions({place.topic for place in places})
        takes_a_batch = cache(self._takes_a_batch)  # a pause that ends between two rows must not let the later one pass

        def may_be_tried(place: Place) -> bool:
            if place.topic not in partitions:
                return not may_be_a_topic(place.topic)
            return takes_a_batch(_partition_of(place, partitions[place.topic]))

        return [place.id for place in places if may_be_tried(place)][:BATCH]

    def _takes_a_batch(self, partition: TopicPartition) -> bool:
        return self._flow.is_open(partition) and partition not in self._producer.on_their_way

    async def _without_known_refusals(self, connection: AsyncConnection, rows: Sequence[Row]) -> list[Row]:
        """Hold what Kafka would refuse for its size, and send nothing later of its key.

        Behind an earlier row of its key it isn't held: only the first row of a key may go alone.
        """
        if not self._flow.may_be_too_large(rows):
            return list(rows)
        too_large: dict[tuple[str, str], Row] = {}
        sendable: dict[int, Row] = {}
        for row in rows:
            key = row.topic, row.key
            if key not in too_large and not self._flow.is_too_large(row):
                sendable[row.id] = row
            else:
                too_large.setdefault(key, row)
        keys = {(row.topic, row.key) for row in sendable.values()}
        if holds := [Hold(row.id, row.attempts, 0) for key, row in too_large.items() if key not in keys]:
            await self._rows.hold(connection, holds)
        return list(sendable.values())

    async def _send_in_turns(
        self, connection: AsyncConnection, held: Sequence[Row], free: Sequence[Row]
    ) -> tuple[int, BaseException | None]:
        """Send held rows alone and free ones in company, until all are sent or Kafka doesn't take a batch.

        Each partition has one held row at most. In a turn it gets one batch, and the next one in the next turn.
        """
        outcomes = _of_no_topic([*held, *free])
        alone = await self._placed(held)
        left = await self._placed(free)
        acknowledged, end = 0, self._clock() + TURNS_SECONDS
        while True:
            open_ones = filter(self._takes_a_batch, [*alone, *(left.keys() - alone.keys())])
            batches = [self._flow.batch(each, alone.get(each) or left[each]) for each in open_ones]
            outcomes += await self._send_and_wait(batches)
            taken, failure = await self._write(connection, outcomes)
            acknowledged += taken
            for batch in batches:
                if batch.partition not in alone:
                    left[batch.partition] = left[batch.partition][len(batch.rows) :]
            left = {partition: rows for partition, rows in left.items() if rows}
            # not `taken`: an outcome may be of a batch of an earlier pass
            mine = {batch.partition for batch in batches}
            of_mine = sum(len(batch.rows) for batch, error in outcomes if error is None and batch.partition in mine)
            all_taken = of_mine == sum(len(batch.rows) for batch in batches) > 0
            if failure or not left or not all_taken or self._clock() >= end:
                return acknowledged, failure
            alone, outcomes = {}, []

    async def _send_and_wait(self, batches: Sequence[Batch]) -> list[Outcome]:
        if not batches:
            return []
        unsendable = await self._begin(batches)
        awaited = [batch.partition for batch in batches if not self._flow.is_doubtful(batch)]
        return unsendable + await self._acknowledged(awaited)

    async def _placed(self, rows: Sequence[R]) -> dict[TopicPartition, list[R]]:
        """The rows by their partition, in order; without those of topics that take none."""
        places = await self._partitions({row.topic for row in rows})
        found: dict[TopicPartition, list[R]] = {}
        for row in rows:
            if (partitions := places.get(row.topic)) is not None:
                found.setdefault(_partition_of(row, partitions), []).append(row)
        return found

    async def _partitions(self, topics: Collection[str]) -> dict[str, Sequence[TopicPartition]]:
        """The partitions of those topics that take batches."""
        wanted = [topic for topic in topics if may_be_a_topic(topic) and self._flow.is_open(topic)]
        if not wanted:
            return {}
        found: dict[str, Sequence[TopicPartition]] = {}
        for topic, answer in (await self._producer.locate(wanted, within=ACK_SECONDS)).items():
            if isinstance(answer, BaseException):
                self._outcomes.pause_topic(topic, answer)
            else:
                found[topic] = answer
        return found

    @failpoint("relay.send")
    async def _begin(self, batches: Sequence[Batch]) -> list[Outcome]:
        return [outcome for batch in batches for outcome in await self._producer.send(batch)]

    @failpoint("relay.acknowledge")
    async def _acknowledged(self, awaited: Sequence[TopicPartition]) -> list[Outcome]:
        """Wait for these batches; the next passes go on without a partition that doesn't answer in time."""
        on_their_way = [partition for partition in awaited if partition in self._producer.on_their_way]
        outcomes = await self._producer.settled(on_their_way, within=ACK_SECONDS)
        for partition in on_their_way:
            if partition in self._producer.on_their_way:
                self._outcomes.pause_partition(partition, TimeoutError("no answer yet"))
        return outcomes


def _partition_of(row: Row | Place, partitions: Sequence[TopicPartition]) -> TopicPartition:
    return partitions[partition_of(row.key.encode(), len(partitions))]


def _of_no_topic(rows: Sequence[Row]) -> list[Outcome]:
    """Of each key the first row whose topic Kafka can't have."""
    if all(map(may_be_a_topic, {row.topic for row in rows})):
        return []
    first: dict[tuple[str, str], Row] = {}
    for row in rows:
        if not may_be_a_topic(row.topic):
            first.setdefault((row.topic, row.key), row)
    error = UnsendableRowError(NO_TOPIC)
    return [(Batch(TopicPartition(row.topic, NOWHERE), (row,)), error) for row in first.values()]
