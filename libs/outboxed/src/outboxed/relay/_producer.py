"""The relay's side of Kafka: batches of our own, at most one on its way to a partition."""

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from outboxed._compat.aiokafka_producer import close_without_flushing, start_or_close
from outboxed.relay._flow import WINDOW, Batch
from outboxed.relay._row import Row, UnsendableRowError
from outboxed.relay._spans import Sending, SentSpan

START_SECONDS = 3.0
CLOSE_SECONDS = 0.4
REQUEST_SECONDS = 3.0
"""aiokafka tries a batch again for so long, then one last time; after that the batch has an outcome."""
FOUND_SECONDS = 1.0
"""So long a topic's partitions are taken to be what they were. A question costs as much as ten rows."""
OWN_OPTIONS: Mapping[str, Any] = {
    "acks": "all",
    "linger_ms": 0,
    "max_batch_size": 4 * WINDOW,  # we end our batches ourselves
    "request_timeout_ms": int(REQUEST_SECONDS * 1000),
}
NOT_OURS = (
    *OWN_OPTIONS,
    # an idempotent producer can't go on after a refused batch, and no row is sent in a transaction of Kafka's
    *("enable_idempotence", "transactional_id", "transaction_timeout_ms"),
    # a row has its bytes and its partition already
    *("key_serializer", "value_serializer", "partitioner"),
    "loop",
)
"""Options of aiokafka's producer that a relay doesn't take."""
_NEVER: tuple[float, Sequence[TopicPartition]] = float("-inf"), ()

Outcome = tuple[Batch, BaseException | None]


class KafkaClient(Protocol):
    """How to reach Kafka; `outboxed.settings.KafkaSettings` is one."""

    def topic(self, name: str) -> str:
        """The topic's name on this cluster."""
        ...

    def client_options(self) -> dict[str, Any]:
        """Options that every aiokafka client takes."""
        ...


class BatchProducer:
    """Sends batches and remembers those on their way; nothing is sent to a partition before its last batch has ended.

    That, and not Kafka's idempotence, keeps the order: an idempotent producer can't go on after a refused batch.
    """

    def __init__(self, kafka: KafkaClient) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._lookups: dict[str, asyncio.Task[Collection[int]]] = {}
        self._found: dict[str, tuple[float, Sequence[TopicPartition]]] = {}
        self._sent: dict[TopicPartition, tuple[Batch, asyncio.Future[Any], SentSpan | None]] = {}

    @property
    def on_their_way(self) -> Collection[TopicPartition]:
        """The partitions whose last batch has no outcome yet."""
        return self._sent.keys()

    @property
    def is_waiting(self) -> bool:
        """Whether Kafka owes an answer to a batch or to a question about a topic."""
        return bool(self._sent or self._lookups)

    async def check(self) -> None:
        """Look at the client's options, without a connection.

        Raises TypeError for one that aiokafka doesn't know or a relay doesn't take, and what aiokafka raises for a
        value.
        """
        for name in NOT_OURS:
            if name in self._kafka.client_options():
                raise TypeError(f"a relay doesn't take the option {name}: leave it out")
        await close_without_flushing(self._made(), within=CLOSE_SECONDS)

    async def locate(
        self, topics: Collection[str], *, within: float
    ) -> dict[str, Sequence[TopicPartition] | BaseException]:
        """The partitions of these topics, or why there are none; without a topic that has no answer yet.

        A first question waits `within` seconds. A later one about a topic without an answer doesn't wait. Connects
        first, and raises KafkaError if that fails. An answer counts for FOUND_SECONDS.
        """
        producer = await self._started()
        now = time.monotonic()
        known: dict[str, Sequence[TopicPartition] | BaseException] = {}
        for topic in topics:
            until, partitions = self._found.get(topic, _NEVER)
            if now < until:
                known[topic] = partitions
        if len(known) == len(topics):
            return known
        asked = [topic for topic in topics if topic not in known]
        new = [topic for topic in asked if topic not in self._lookups]
        for topic in new:
            question = producer.partitions_for(self._kafka.topic(topic))
            self._lookups[topic] = asyncio.create_task(question)
        if new:
            await asyncio.wait([self._lookups[topic] for topic in new], timeout=within)
        answered = [topic for topic, task in self._lookups.items() if task.done()]
        tasks = {topic: self._lookups.pop(topic) for topic in answered}  # also those that nobody asks about any more
        return {
            **known,
            **{
                topic: error
                for topic, task in tasks.items()
                if (error := task.exception() or self._keep(topic, task.result())) and topic in asked
            },
        }

    def _keep(self, topic: str, numbers: Collection[int]) -> Sequence[TopicPartition]:
        name = self._kafka.topic(topic)
        partitions = [TopicPartition(name, number) for number in sorted(numbers)]
        self._found[topic] = time.monotonic() + FOUND_SECONDS, partitions
        return partitions

    async def send(self, batch: Batch) -> list[Outcome]:
        """Begin to send a batch; `settled` has its outcome. Returns those of rows that no producer could send.

        With such a row the later ones of its key stay behind. Raises KafkaError.
        """
        producer = await self._started()
        builder = producer.create_batch()
        append, now = builder.append, int(time.time() * 1000)
        unsendable: dict[str, Outcome] = {}
        sent: list[Row] = []
        sending = Sending.begun()
        for row in batch.rows:
            if unsendable and row.key in unsendable:
                continue
            try:
                record = row.wire_record()  # used at once: what lives on is work for the garbage collector
            except UnsendableRowError as error:
                unsendable[row.key] = Batch(batch.partition, (row,)), error
            else:
                append(timestamp=now, key=record.key, value=record.value, headers=record.headers)
                sent.append(row)
                if sending is not None:
                    sending.has(record)
        builder.close()
        if sent:
            topic, partition = batch.partition
            span = None if sending is None else sending.span(batch.topic, partition, len(sent))
            try:
                future = await producer.send_batch(builder, topic, partition=partition)
            except BaseException as error:
                if span is not None:
                    span.end(error)
                raise
            self._sent[batch.partition] = Batch(batch.partition, sent), future, span
        return list(unsendable.values())

    async def settled(self, awaited: Collection[TopicPartition], *, within: float) -> list[Outcome]:
        """Wait for these partitions' batches, then take the outcome of every batch that has one."""
        futures = [self._sent[partition][1] for partition in awaited]
        if futures:
            await asyncio.wait(futures, timeout=within)
        return list(self._take_outcomes())

    async def abandon(self) -> None:
        """Close without a flush, which would wait for ever without Kafka; the outbox still has the rows."""
        producer, self._producer = self._producer, None
        for lookup in self._lookups.values():
            lookup.cancel()
        await asyncio.gather(*self._lookups.values(), return_exceptions=True)
        self._lookups.clear()
        self._found.clear()
        if producer is not None:
            await close_without_flushing(producer, within=CLOSE_SECONDS)
        for _, future, span in self._sent.values():
            if future.cancel() or future.cancelled():
                if span is not None:
                    span.end("abandoned")
            else:  # its outcome is retrieved, too, so that asyncio doesn't log an error as never retrieved
                _answered(future, span)
        self._sent.clear()

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        producer = self._made()
        try:
            await start_or_close(producer, within=START_SECONDS, close_within=CLOSE_SECONDS)
        except TimeoutError:
            raise KafkaTimeoutError("no broker answers") from None
        self._producer = producer
        return producer

    def _made(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(**self._kafka.client_options(), **OWN_OPTIONS)

    def _take_outcomes(self) -> Iterator[Outcome]:
        for partition, (batch, future, span) in list(self._sent.items()):
            if future.done():
                del self._sent[partition]
                yield batch, _answered(future, span)


def _answered(future: asyncio.Future[Any], span: SentSpan | None) -> BaseException | None:
    """End the span of a batch with Kafka's answer. Returns the error, if it is one."""
    error = future.exception()
    if span is not None:
        span.end(error, None if error else future.result().offset)
    return error
