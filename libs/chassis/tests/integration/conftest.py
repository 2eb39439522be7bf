"""Kafka topics and a consumer group of each test's own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import anyio
import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from chassis.consumer import BatchConsumer, Route
from chassis.kafka_consumer import ConsumerRole, create_broker, subscribe
from chassis.metrics import Metrics
from chassis.settings import KafkaSettings
from chassis.unit_of_work import SqlTransactions
from sqlalchemy.ext.asyncio import AsyncEngine
from testkit.kafka import KafkaCluster, MockKafka

from ..sample import MoneyMoved, SqlAccounts, credit

PARTITIONS = 4
Transactions = SqlTransactions[SqlAccounts]
RoleRun = Callable[[anyio.Event], Awaitable[None]]


@dataclass(frozen=True)
class Topics:
    """A test's own topics, under its own prefix."""

    kafka: KafkaSettings

    @property
    def group(self) -> str:
        return f"{self.kafka.topic_prefix}group"

    async def send(self, *records: Any) -> None:
        """Send consumer records as they are, in their order, each key to its own partition."""
        async with AIOKafkaProducer(**self.kafka.client_options(), acks="all") as producer:
            for record in records:
                await producer.send_and_wait(
                    self.kafka.topic(record.topic), record.value, key=record.key, headers=list(record.headers)
                )

    async def read(self, topic: str, count: int) -> list[Any]:
        """The first records of a topic, as Kafka has them."""
        async with AIOKafkaConsumer(
            self.kafka.topic(topic), **self.kafka.client_options(), auto_offset_reset="earliest", fetch_max_wait_ms=5
        ) as consumer:
            async with asyncio.timeout(5):
                return [await consumer.getone() for _ in range(count)]

    async def size(self, topic: str) -> int:
        async with AIOKafkaConsumer(**self.kafka.client_options()) as consumer:
            partitions = [TopicPartition(self.kafka.topic(topic), number) for number in range(PARTITIONS)]
            return sum((await consumer.end_offsets(partitions)).values())

    async def committed(self, topic: str) -> int:
        """How many records of a topic the group has behind it."""
        async with AIOKafkaConsumer(
            **self.kafka.client_options(), group_id=self.group, enable_auto_commit=False
        ) as consumer:
            partitions = [TopicPartition(self.kafka.topic(topic), number) for number in range(PARTITIONS)]
            return sum([await consumer.committed(partition) or 0 for partition in partitions])


def topics_on(bootstrap_servers: str, *, real: bool = False) -> Topics:
    prefix = f"test-{uuid4().hex[:12]}-"
    # embedded Kafka waits as long as a session before it gives a group's partitions to the next member
    return Topics(KafkaSettings(bootstrap_servers, topic_prefix=prefix, session_timeout_ms=6000 if real else 2000))


@pytest.fixture
async def topics(kafka_cluster: KafkaCluster) -> Topics:
    topics = topics_on(kafka_cluster.bootstrap_servers, real=kafka_cluster.is_real)
    await kafka_cluster.create_topics({topics.kafka.topic(name): PARTITIONS for name in ("accounts", "moves")})
    return topics


@pytest.fixture
def own_kafka() -> Iterator[MockKafka]:
    """A Kafka that a test may take down."""
    with MockKafka() as kafka:
        yield kafka


@pytest.fixture
async def own_topics(own_kafka: MockKafka) -> Topics:
    topics = topics_on(own_kafka.bootstrap_servers)
    await own_kafka.create_topics({topics.kafka.topic(name): PARTITIONS for name in ("accounts", "moves")})
    return topics


def role_of(
    topics: Topics, database: Any, *, handle: Any = credit, metrics: Metrics | None = None
) -> tuple[ConsumerRole, BatchConsumer[Any]]:
    """A consumer as a composition root makes it, in this test's group."""
    consumer: BatchConsumer[Any] = BatchConsumer(
        topics.group, [Route(MoneyMoved, handle)], database, metrics or Metrics(database.clock)
    )
    broker = create_broker(topics.kafka)
    return ConsumerRole(broker, subscribe(broker, consumer, topics.kafka), consumer), consumer


@asynccontextmanager
async def running(*roles: RoleRun) -> AsyncIterator[None]:
    """Roles run until the end of the block, then stop in order."""
    stop = anyio.Event()
    async with asyncio.TaskGroup() as group:
        for role in roles:
            group.create_task(_run(role, stop))
        try:
            yield
        finally:
            stop.set()


async def _run(role: RoleRun, stop: anyio.Event) -> None:
    await role(stop)


async def count(engine: AsyncEngine, table: sa.Table) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())
