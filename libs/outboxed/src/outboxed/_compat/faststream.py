"""FastStream: undecoded records, and the tasks and the client of a running subscriber. Bound: `faststream<0.8`.

- FastStream's parser fails on a header that is null or not UTF-8 (https://github.com/ag2ai/faststream/issues/2458).
  A custom parser is public, but FastStream doesn't promise that handlers get the `raw_message` that the parser sets.
- `KafkaBroker.stop()` cancels a hanging handler without waiting for its end, but the handler's transaction must end.
  Only the subscriber's `tasks` tell when a handler has ended.
- What no policy acknowledges comes again: a message says by `committed` that it was answered for, and has its
  `consumer`.
- Lag comes from aiokafka's client, which FastStream offers only as `consumer` of a subscriber or of a message.
- `process_message` lets tests feed a raw record, and a person handle a dead letter again. `broker.publish` under
  TestKafkaBroker adds headers of its own and refuses null ones. A subscriber of a broker that isn't started, as in a
  command, is made ready by its `_build_fastdepends_model`, and found by its `group_id`, `topic_names` and `pattern`;
  `BatchSubscriber` takes a tuple.
"""

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError
from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.usecase import BatchSubscriber

from outboxed.messages import Record


class Subscriber(Protocol):
    """The used part of a batch subscriber; the class that `KafkaBroker.subscriber` makes has no public name."""

    tasks: list[asyncio.Task[Any]]
    consumer: AIOKafkaConsumer | None

    async def process_message(self, msg: Any) -> Any:
        """Handle a tuple of raw records."""
        ...


async def parsed_as_it_came(records: Sequence[Any], original: Any) -> Any:
    """FastStream's message of these records, with their headers undecoded."""
    message = await original(tuple(replace(record, headers=()) for record in records))
    message.raw_message = tuple(records)  # TestKafkaBroker gives a list
    return message


async def stop_and_wait(broker: KafkaBroker, subscriber: Subscriber) -> None:
    """Stop a broker, and return when the current batch has ended or was cancelled."""
    consuming = list(subscriber.tasks)
    await broker.stop()
    if consuming:
        await asyncio.wait(consuming)


def first_offsets(records: Sequence[Any]) -> dict[TopicPartition, int]:
    """Where the first of these records is in each partition."""
    first: dict[TopicPartition, int] = {}
    for record in records:
        partition = TopicPartition(record.topic, record.partition)
        first[partition] = min(record.offset, first.get(partition, record.offset))
    return first


async def read_again(consumer: Any, records: Sequence[Any]) -> None:
    """Let a consumer go back to the first of these records in each partition; a test's double of one has no position.

    FastStream's `nack` does so, but not where the policy has acknowledged the message before its handler. It never goes
    forward: another worker of the subscriber may have gone back further.
    """
    for partition, offset in first_offsets(records).items():
        with contextlib.suppress(IllegalStateError):  # another member has the partition, and begins before them
            if not isinstance(consumer, AIOKafkaConsumer) or await consumer.position(partition) > offset:
                consumer.seek(partition, offset)


async def handle_again(broker: KafkaBroker, group: str, record: Record) -> bool:
    """Give a record to the subscriber that reads its topic in a group (empty: without one); False if there is none.

    Raises what the handler raises. A broker that isn't started is connected, so that the handler can publish.
    """
    for subscriber in broker.subscribers:
        each: Any = subscriber
        if (each.group_id or "") != group or not _reads(each, record.topic):
            continue
        if not each.running:
            await broker.connect()
            each._build_fastdepends_model()  # noqa: SLF001 - see above
        read = client_record(record)
        await each.process_message((read,) if isinstance(each, BatchSubscriber) else read)
        return True
    return False


def _reads(subscriber: Any, topic: str) -> bool:
    names = subscriber.topic_names
    if not subscriber.pattern and any(each.topic == topic for each in subscriber.partitions):
        return True  # its names have the partitions' numbers behind them
    return any(re.fullmatch(name, topic) for name in names) if subscriber.pattern else topic in names


def client_record(record: Record) -> Any:
    """A record as Kafka's client would have read it."""
    return ConsumerRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=0,
        timestamp_type=0,
        key=record.key,
        value=record.value,
        checksum=None,
        serialized_key_size=len(record.key or b""),
        serialized_value_size=len(record.value or b""),
        headers=record.headers,
    )
