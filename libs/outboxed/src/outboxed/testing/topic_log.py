"""Topics as a ledger: all their records, and how far a group has read."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition

from outboxed._compat.aiokafka import read_any_batch
from outboxed.messages import Record
from outboxed.settings import parse_bootstrap_servers

READ_LIMIT = 60.0  # seconds
WAIT_MS = 200


@dataclass(frozen=True)
class Position:
    """Where a record is."""

    topic: str
    partition: int
    offset: int


def position(record: Record) -> Position:
    return Position(record.topic, record.partition, record.offset)


def header(record: Record, name: str) -> str:
    """A header's text; empty where it is missing, null or no UTF-8."""
    raw = dict(record.headers).get(name)
    return (raw or b"").decode(errors="ignore")


async def read_topics(bootstrap_servers: str, topics: Mapping[str, int]) -> list[Record]:
    """Every record that these topics (with their numbers of partitions) hold now, in order within each partition.

    Raises TimeoutError, KafkaError.
    """
    read_any_batch()
    records: list[Record] = []
    async with (
        asyncio.timeout(READ_LIMIT),
        AIOKafkaConsumer(bootstrap_servers=_brokers(bootstrap_servers), enable_auto_commit=False) as consumer,
    ):
        partitions = _partitions(topics)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=WAIT_MS)).values():
                records += map(Record.of, batch)
    return [one for one in records if one.offset < ends[TopicPartition(one.topic, one.partition)]]


async def lag(bootstrap_servers: str, group: str, topics: Mapping[str, int]) -> int:
    """How many records a group has yet to read. Raises KafkaError.

    An offset behind the end of its partition is of a topic that was deleted: of the new one nothing is read.
    """
    async with AIOKafkaConsumer(
        bootstrap_servers=_brokers(bootstrap_servers), group_id=group, enable_auto_commit=False
    ) as consumer:
        partitions = _partitions(topics)
        ends = await consumer.end_offsets(partitions)
        committed = {partition: await consumer.committed(partition) or 0 for partition in ends}
        return sum(
            end - (committed[partition] if committed[partition] <= end else 0) for partition, end in ends.items()
        )


async def rewind(bootstrap_servers: str, group: str, topics: Mapping[str, int], *, to: datetime) -> None:
    """Let a group without members go on from the first records since `to`, as after the restore of a backup.

    Raises KafkaError: CommitFailedError where the group has members.
    """
    async with AIOKafkaConsumer(
        bootstrap_servers=_brokers(bootstrap_servers), group_id=group, enable_auto_commit=False
    ) as consumer:
        partitions = _partitions(topics)
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        since = await consumer.offsets_for_times(dict.fromkeys(partitions, int(to.timestamp() * 1000)))
        await consumer.commit({at: found.offset if found else ends[at] for at, found in since.items()})


def out_of_order(records: Sequence[Record], *, without: Collection[Position] = ()) -> Iterator[str]:
    """Sentences about keys whose `ce_sequence` goes backwards, counting only the first record of each `ce_id`.

    A record may come again at any time (at least once). But an older record must not appear for the first time after a
    newer one. Records at the positions `without`, which a test made up, don't count.
    """
    seen: set[tuple[str, str]] = set()
    latest: defaultdict[tuple[str, bytes | None], int] = defaultdict(int)
    for record in records:
        event_id, sequence = header(record, "ce_id"), header(record, "ce_sequence")
        if position(record) in without or not sequence.isdigit() or (record.topic, event_id) in seen:
            continue
        seen.add((record.topic, event_id))
        key = (record.topic, record.key)
        if int(sequence) < latest[key]:
            yield f"{record.topic} {(record.key or b'').decode()}: {sequence} comes after {latest[key]}"
        latest[key] = max(latest[key], int(sequence))


def _brokers(bootstrap_servers: str) -> list[str]:
    return list(parse_bootstrap_servers(bootstrap_servers))


def _partitions(topics: Mapping[str, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for topic, count in sorted(topics.items()) for number in range(count)]
