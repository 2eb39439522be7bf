"""FastStream's side of the consumer: raw records in, offsets committed after the transaction, never before."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import anyio
import structlog
from aiokafka import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage

from outboxed._backoff import backoff
from outboxed._compat.aiokafka import read_any_batch
from outboxed._compat.faststream import Subscriber, first_offsets, parsed_as_it_came, stop_and_wait
from outboxed._contact import KafkaContact
from outboxed._stopping import turns_until
from outboxed.consuming._batch import BatchConsumer
from outboxed.failpoints import failpoint
from outboxed.messages import Record
from outboxed.settings import KafkaSettings
from outboxed.storage import is_transient

log = structlog.get_logger()

MAX_RECORDS = 100
"""Records in a batch. Five hundred are no faster and take 5 % more memory (`make memory`)."""
ASK_EVERY_MS = 1000
"""aiokafka hands records over as soon as it has one. Only an idle consumer asks again after so long."""
METADATA_MS = 10_000
"""A topic that was made, or made again, has readers so soon: a client that found none asks again only then. aiokafka's
own five minutes are as long as an outage."""
COMMIT_SECONDS = 5.0
HEARTBEATS = 12
"""Heartbeats in a session: by default one every 0.5 s. A member learns of a rebalance only by its next heartbeat."""
HANDOVER_SECONDS = 1.5
"""The longest wait for a batch's end before its partitions are given away; far below the session, as members wait."""
FIRST_BACKOFF = 0.1
MAX_BACKOFF = 0.5
"""Work resumes within half a second after an outage of the database or of Kafka."""
START_BACKOFF = 0.5
LAG_SECONDS = 5.0
LAG_EVERY, IDLE_LAG_EVERY = 1.0, 5.0
"""While records wait or Kafka is away, and while all is handled: a measurement costs as much as a small batch."""
STOP_SECONDS = 1.7


def _parser(handover: "_Handover") -> Any:
    async def parse(records: Any, original: Any) -> Any:
        handover.batch_begins()
        return await parsed_as_it_came(records, original)

    return parse


def _decoder(topic_prefix: str) -> Any:
    async def decode(message: Any) -> list[Record]:
        return [Record.of(record, topic_prefix=topic_prefix) for record in message.raw_message]

    return decode


def create_broker(kafka: KafkaSettings) -> KafkaBroker:
    """A FastStream broker that only consumes; the relay produces."""
    read_any_batch()
    return KafkaBroker(
        list(kafka.bootstrap_servers),
        consumer_only=True,
        allow_auto_create_topics=False,
        graceful_timeout=1.5,
        metadata_max_age_ms=METADATA_MS,
        security=kafka.faststream_security(),
        logger=logging.getLogger("faststream"),
        log_level=logging.DEBUG,
    )


def subscribe(broker: KafkaBroker, consumer: BatchConsumer[Any], kafka: KafkaSettings) -> Subscriber:
    """Register the consumer's topics as one batch subscriber of its group."""
    handover = _Handover()
    subscriber = broker.subscriber(
        *(kafka.topic(name) for name in consumer.topics),
        group_id=consumer.group,
        batch=True,
        max_records=MAX_RECORDS,
        batch_timeout_ms=ASK_EVERY_MS,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.MANUAL,
        session_timeout_ms=kafka.session_timeout_ms,
        heartbeat_interval_ms=max(kafka.session_timeout_ms // HEARTBEATS, 100),
        fetch_max_wait_ms=kafka.fetch_max_wait_ms,
        listener=handover,
        parser=_parser(handover),
        decoder=_decoder(kafka.topic_prefix),
    )
    failures = _Failures()

    @subscriber
    async def consume(records: list[Any], message: KafkaMessage) -> None:
        try:
            try:
                await _handle_and_commit(consumer, records, message)
            finally:
                handover.batch_ended()
        except Exception as error:
            await failures.back_off(consumer.group, error)
            if not is_transient(error):
                raise  # FastStream logs it with its traceback
        else:
            failures.reset()

    return subscriber


async def _handle_and_commit(consumer: BatchConsumer[Any], records: list[Any], message: KafkaMessage) -> None:
    try:
        await consumer.handle(records)
    except BaseException:
        _rewind(message.consumer, message.raw_message)
        raise
    await _commit(message.consumer)


class _Handover(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Lets the current batch end and commit before its partitions go to another member, which would read it again."""

    def __init__(self) -> None:
        self._idle = asyncio.Event()
        self._idle.set()

    def batch_begins(self) -> None:
        """Mark a batch as begun as soon as the client has handed over its records: FastStream starts the handler later.

        The client's positions are then past the records, but the next assignment starts at the committed offsets.
        """
        self._idle.clear()

    def batch_ended(self) -> None:
        """Mark the batch as ended; if it was not committed, its records are read again."""
        self._idle.set()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        try:
            async with asyncio.timeout(HANDOVER_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            log.warning("partitions_revoked_in_a_batch", partitions=len(revoked))

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Nothing to do: positions start at the committed offsets."""


class _Failures:
    """Back-off between attempts at the same batch, far below Kafka's max.poll.interval; each error is logged once."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._count, self._said = 0, ""

    async def back_off(self, group: str, error: Exception) -> None:
        self._count += 1
        seconds = backoff(self._count, first=FIRST_BACKOFF, cap=MAX_BACKOFF)
        if self._said != repr(error):
            log.warning("batch_comes_again", group=group, error=repr(error))
            self._said = repr(error)
        await asyncio.sleep(seconds)


def _rewind(consumer: Any, records: Sequence[Any]) -> None:
    """Go back to these records; skip a partition that belongs to another member now."""
    for partition, offset in first_offsets(records).items():
        try:
            consumer.seek(partition, offset)
        except IllegalStateError:
            log.info("partition_moved_on", topic=partition.topic, partition=partition.partition)


@failpoint("offsets.commit")
async def _commit(consumer: Any) -> None:
    """Commit the positions. If the commit fails or hangs, records may be read again, which the inbox absorbs."""
    try:
        async with asyncio.timeout(COMMIT_SECONDS):
            await consumer.commit()
    except (KafkaError, TimeoutError) as error:
        log.warning("offsets_not_committed", error=repr(error))


class ConsumerRole:
    """Runs a subscriber until told to stop, through outages of Kafka, and measures its lag."""

    grace: ClassVar[float] = 0.1
    """Seconds for a running measurement of the lag to end; the current batch has STOP_SECONDS."""

    def __init__(
        self,
        broker: KafkaBroker,
        subscriber: Subscriber,
        consumer: BatchConsumer[Any],
        contact: KafkaContact | None = None,
    ) -> None:
        self.contact = contact or KafkaContact()
        self._broker = broker
        self._subscriber = subscriber
        self._consumer = consumer
        self.lag: int | None = None
        """Records not yet handled in the partitions that this process has; None while Kafka doesn't answer."""

    async def run(self, stop: anyio.Event) -> None:
        """Consume until `stop`; a halted consumer is not ready, and waits for a person."""
        try:
            await self._start(stop)
            for _ in turns_until(stop):
                if self._consumer.progress.halted:
                    break
                await self._measure_lag()
                with anyio.move_on_after(IDLE_LAG_EVERY if self.lag == 0 else LAG_EVERY):
                    await stop.wait()
            if self._consumer.progress.halted:
                log.critical("consumer_halted", reason=self._consumer.progress.halted)
                await self._broker.stop()
                await stop.wait()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_SECONDS):
                await stop_and_wait(self._broker, self._subscriber)  # a transaction must end before its pool closes

    async def _start(self, stop: anyio.Event) -> None:
        attempt = 0
        for _ in turns_until(stop):
            try:
                with _silenced("aiokafka", "faststream"):
                    await self._broker.start()
            except KafkaError as error:
                self.contact.failed("consumer")
                await self._broker.stop()  # else the half-started consumer leaks
                attempt += 1
                if attempt == 1:
                    log.warning("waiting_for_kafka", error=repr(error))
                with anyio.move_on_after(backoff(attempt, first=START_BACKOFF, cap=MAX_BACKOFF)):
                    await stop.wait()
            else:
                self.contact.answered("consumer")
                log.info("consuming", group=self._consumer.group, topics=self._consumer.topics)
                return

    async def _measure_lag(self) -> None:
        client = self._subscriber.consumer
        if client is None:
            return
        try:
            async with asyncio.timeout(LAG_SECONDS):
                assigned = client.assignment()
                if not assigned:
                    await client.topics()  # a member without a partition asks, too, whether Kafka is there
                ends = await client.end_offsets(assigned) if assigned else {}
                unread = [max(0, end - await client.position(partition)) for partition, end in ends.items()]
        except (KafkaError, TimeoutError):
            self.contact.failed("consumer")
            self.lag = None
        else:
            self.contact.answered("consumer")
            self.lag = sum(unread) + self._consumer.progress.in_progress
        if not self.lag:
            # no record waits, or Kafka is away: the time until now doesn't count as a stall
            self._consumer.progress.attempted()


_levels: defaultdict[str, list[int]] = defaultdict(list)
"""Of each silent logger, its level before each of the starts that go on; the first of them is the last to come back."""


@contextmanager
def _silenced(*names: str) -> Iterator[None]:
    """Silence these loggers during a start: at each attempt they repeat what `waiting_for_kafka` says once.

    Consumers of one process may start at the same time. The last one to end its start makes the loggers heard again.
    """
    for name in names:
        logger = logging.getLogger(name)
        _levels[name].append(logger.level)
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name in names:
            logging.getLogger(name).setLevel(_levels[name].pop())
