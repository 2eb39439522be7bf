"""Reads topics without a group: it follows them into the index, and looks up what is older."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from outboxed.consuming import read_any_batch
from outboxed.messages import Record
from outboxed.settings import KafkaSettings

from shop_console.index import Index
from shop_console.seen import Seen

log = structlog.get_logger()

RECORDS_OF_AN_ORDER = 4
"""About so many of a topic at most: where the reading of a long topic begins follows from it."""
WAIT_MS = 200
AGAIN_SECONDS = 2.0
LOOK_UP_SECONDS = 5.0
LOOK_UP_RECORDS = 50_000
BEFORE = timedelta(seconds=5)
"""Clocks differ."""


class Follower:
    """Reads each topic from where the newest orders begin, and goes on."""

    def __init__(self, settings: KafkaSettings, index: Index, kept: int) -> None:
        self._settings = settings
        self._index = index
        self._kept = kept
        self._topics: Sequence[str] = ()
        self._wanted = asyncio.Event()
        self.problem = "Kafka was not asked yet"
        """Why nothing is read; empty while all is well."""

    def follow(self, topics: Sequence[str]) -> None:
        """Read these, and no others, from now on."""
        if set(topics) != set(self._topics):
            self._topics = tuple(topics)
            self._wanted.set()

    async def run(self) -> None:
        """Read for ever; an outage of Kafka is waited for."""
        positions: dict[TopicPartition, int] = {}
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._read(positions)
            except (KafkaError, OSError) as error:
                self.problem = f"Kafka does not answer: {type(error).__name__}"
                log.warning("topics_not_read", error=repr(error))
                self._wanted.set()
                await asyncio.sleep(AGAIN_SECONDS)

    async def _read(self, positions: dict[TopicPartition, int]) -> None:
        async with _consumer(self._settings, self._topics) as consumer:
            await self._seek(consumer, sorted(consumer.assignment()), positions)
            self.problem = ""
            while not self._wanted.is_set():
                for partition, batch in (await consumer.getmany(timeout_ms=WAIT_MS)).items():
                    for one in batch:
                        self._index.add(seen_of(one, topic_prefix=self._settings.topic_prefix))
                        positions[partition] = one.offset + 1

    async def _seek(
        self, consumer: Any, partitions: Sequence[TopicPartition], positions: Mapping[TopicPartition, int]
    ) -> None:
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        of_topic = {topic: sum(each.topic == topic for each in partitions) for topic in {p.topic for p in partitions}}
        for partition in partitions:
            window = self._kept * RECORDS_OF_AN_ORDER // of_topic[partition.topic] + 1
            first = max(begins[partition], ends[partition] - window)
            # a topic that was made again ends before the position: it is read anew
            known = positions.get(partition, first)
            consumer.seek(partition, known if known <= ends[partition] else first)


@dataclass(frozen=True)
class LookedUp:
    """Records of one key; `whole` is false where the reading was cut."""

    records: Sequence[Seen]
    whole: bool


async def look_up(settings: KafkaSettings, topics: Sequence[str], key: str, *, since: datetime) -> LookedUp:
    """Read all partitions from a time on, up to limits of time and number, and keep one key's. Raises KafkaError."""
    found: list[Seen] = []
    read = 0
    clock = asyncio.get_running_loop().time
    end_of_time = clock() + LOOK_UP_SECONDS
    async with _consumer(settings, topics) as consumer:
        partitions = sorted(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        for partition, begin in (await _since(consumer, ends, since - BEFORE)).items():
            consumer.seek(partition, begin)
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            if clock() > end_of_time or read > LOOK_UP_RECORDS:
                return LookedUp(found, whole=False)
            for batch in (await consumer.getmany(timeout_ms=WAIT_MS)).values():
                read += len(batch)
                found += [seen_of(one, topic_prefix=settings.topic_prefix) for one in batch if one.key == key.encode()]
    return LookedUp(found, whole=True)


async def _since(consumer: Any, ends: Mapping[TopicPartition, int], moment: datetime) -> Mapping[TopicPartition, int]:
    """Where to begin; Kafka's own ends where it knows of nothing since then."""
    milliseconds = int(moment.timestamp() * 1000)
    found = await consumer.offsets_for_times(dict.fromkeys(ends, milliseconds))
    if any(found.values()):
        return {partition: found[partition].offset if found[partition] else end for partition, end in ends.items()}
    # a mock of Kafka knows no times: the newest records are read
    firsts = await consumer.beginning_offsets(list(ends))
    most = LOOK_UP_RECORDS // max(1, len(ends))
    return {partition: max(firsts[partition], end - most) for partition, end in ends.items()}


def seen_of(one: Any, *, topic_prefix: str) -> Seen:
    """A record of aiokafka's; its topic without the prefix, as the services name it."""
    return Seen(Record.of(one, topic_prefix=topic_prefix), datetime.fromtimestamp(max(0, one.timestamp) / 1000, UTC))


def _consumer(settings: KafkaSettings, topics: Sequence[str]) -> Any:
    """Without a group it is assigned all partitions, and those that are added later."""
    read_any_batch()
    named = [settings.topic(topic) for topic in topics]
    return AIOKafkaConsumer(
        *named,
        **settings.client_options(),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=settings.fetch_max_wait_ms,
    )
