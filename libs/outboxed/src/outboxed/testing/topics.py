"""Topics and a consumer group of a test's own, under a prefix, so that tests can share one Kafka side by side."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from backing_services.guards.leaks import LeakError
from backing_services.kafka import GivenKafka, KafkaCluster

from outboxed.settings import KafkaSettings, parse_bootstrap_servers

PARTITIONS = 4
PREFIX = "test-"
READ_SECONDS = 20.0
EMBEDDED: Mapping[str, Any] = {"session_timeout_ms": 2000, "fetch_max_wait_ms": 20}
"""KafkaSettings for MockKafka. The mock gives a group's partitions to the next member only after the session. It
answers an empty fetch only after the fetch's wait, even if a record arrives meanwhile."""


def new_prefix() -> str:
    """A prefix for topics that nobody else uses."""
    return f"{PREFIX}{uuid4().hex[:12]}-"


@dataclass(frozen=True)
class Topics:
    """A test's own access to its topics; names are without the prefix."""

    kafka: KafkaSettings

    @classmethod
    async def create(cls, cluster: KafkaCluster, names: Iterable[str]) -> "Topics":
        """Create topics of 4 partitions each under a new prefix."""
        prefix = new_prefix()
        await cluster.create_topics({f"{prefix}{name}": PARTITIONS for name in names})
        limits = {} if cluster.is_real else EMBEDDED
        return cls(KafkaSettings(parse_bootstrap_servers(cluster.bootstrap_servers), topic_prefix=prefix, **limits))

    @classmethod
    @asynccontextmanager
    async def of_test(cls, cluster: KafkaCluster, names: Iterable[str]) -> AsyncIterator["Topics"]:
        """`create` for a fixture. Raises LeakError after a test that sent records to topics that are not its own.

        Such records can't be taken back, and another test that uses the same topic would read them. A Kafka that was
        given by its address is not checked, because others may use it.
        """
        before = await _sizes_of_others(cluster)
        yield await cls.create(cluster, names)
        after = await _sizes_of_others(cluster)
        if leaked := sorted(name for name, size in after.items() if size > before.get(name, 0)):
            raise LeakError(
                f"something was sent to {', '.join(leaked)}, which others will read: give the code under test the "
                "settings topics.kafka, with their topic_prefix"
            )

    @property
    def group(self) -> str:
        """The test's consumer group."""
        return f"{self.kafka.topic_prefix}group"

    async def send(self, *records: Any) -> None:
        """Send consumer records as they are, in their order, each key to its own partition."""
        async with AIOKafkaProducer(**self.kafka.client_options(), acks="all") as producer:
            for record in records:
                await producer.send_and_wait(
                    self.kafka.topic(record.topic), record.value, key=record.key, headers=list(record.headers)
                )

    async def read(self, topic: str, count: int, *, within: float = READ_SECONDS) -> list[Any]:
        """The first `count` records of a topic, as Kafka has them. Raises TimeoutError after `within` seconds."""
        async with AIOKafkaConsumer(
            self.kafka.topic(topic), **self.kafka.client_options(), auto_offset_reset="earliest", fetch_max_wait_ms=5
        ) as consumer:
            async with asyncio.timeout(within):
                return [await consumer.getone() for _ in range(count)]

    async def size(self, topic: str) -> int:
        """How many records a topic holds."""
        async with AIOKafkaConsumer(**self.kafka.client_options()) as consumer:
            return sum((await consumer.end_offsets(self._partitions(topic))).values())

    async def committed(self, topic: str) -> int:
        """How many records of a topic the group has committed."""
        async with AIOKafkaConsumer(
            **self.kafka.client_options(), group_id=self.group, enable_auto_commit=False
        ) as consumer:
            return sum([await consumer.committed(partition) or 0 for partition in self._partitions(topic)])

    def _partitions(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(self.kafka.topic(topic), number) for number in range(PARTITIONS)]


async def _sizes_of_others(cluster: KafkaCluster) -> dict[str, int]:
    """The number of records in each topic that is not under a test's prefix."""
    if isinstance(cluster, GivenKafka):
        return {}
    options = KafkaSettings(parse_bootstrap_servers(cluster.bootstrap_servers)).client_options()
    async with AIOKafkaConsumer(**options) as consumer:
        names = [name for name in await consumer.topics() if not name.startswith(PREFIX)]
    if not names:
        return {}
    sizes: Counter[str] = Counter()
    async with AIOKafkaConsumer(*names, **options) as consumer:
        for partition, end in (await consumer.end_offsets(consumer.assignment())).items():
            sizes[partition.topic] += end
    return sizes
