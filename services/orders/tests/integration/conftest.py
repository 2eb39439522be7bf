"""Kafka for tests of relay and consumer: topics and a consumer group of each test's own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from chassis.consumer import BatchConsumer
from chassis.kafka_consumer import ConsumerRole, create_broker, subscribe
from chassis.metrics import Metrics
from chassis.relay import Relay
from chassis.settings import KafkaSettings
from chassis.unit_of_work import SqlTransactions
from orders.consumers import ROUTES
from orders.settings import Settings
from orders.storage import SqlOrdersUnitOfWork
from testkit.kafka import KafkaCluster

PARTITIONS = 4
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

    async def committed(self, topic: str) -> int:
        """How many records of a topic the group has behind it."""
        async with AIOKafkaConsumer(
            **self.kafka.client_options(), group_id=self.group, enable_auto_commit=False
        ) as consumer:
            partitions = [TopicPartition(self.kafka.topic(topic), number) for number in range(PARTITIONS)]
            return sum([await consumer.committed(partition) or 0 for partition in partitions])


@pytest.fixture
async def topics(kafka_cluster: KafkaCluster, settings: Settings) -> Topics:
    prefix = f"test-{uuid4().hex[:12]}-"
    await kafka_cluster.create_topics({f"{prefix}{name}": PARTITIONS for name in ("orders", "payments")})
    return Topics(
        replace(
            settings.kafka,
            bootstrap_servers=kafka_cluster.bootstrap_servers,
            topic_prefix=prefix,
            # embedded Kafka waits that long before it gives a group's partitions to the next member
            session_timeout_ms=6000 if kafka_cluster.is_real else 2000,
        )
    )


@pytest.fixture
def relay(topics: Topics, transactions: SqlTransactions[SqlOrdersUnitOfWork]) -> Relay:
    return Relay(transactions.engine, topics.kafka, transactions.events_appended)


@pytest.fixture
def consumer_role(topics: Topics, transactions: SqlTransactions[SqlOrdersUnitOfWork]) -> Callable[..., ConsumerRole]:
    """Makes the service's consumer as the composition root does, in this test's group."""

    def make(database: Any = transactions) -> ConsumerRole:
        consumer = BatchConsumer(topics.group, ROUTES, database, Metrics(transactions.clock))
        broker = create_broker(topics.kafka)
        return ConsumerRole(broker, subscribe(broker, consumer, topics.kafka), consumer)

    return make


@asynccontextmanager
async def running(*roles: RoleRun) -> AsyncIterator[None]:
    """Roles run until the end of the block, then stop in order."""
    stop = anyio.Event()
    async with asyncio.TaskGroup() as group:
        for role in roles:
            group.create_task(_run(role, stop))
        yield
        stop.set()


async def _run(role: RoleRun, stop: anyio.Event) -> None:
    await role(stop)
