"""Kafka topics and a consumer group of each test's own, and the sandbox's mailbox behind SMTP."""

import asyncio
import ssl
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
from chassis.process import bind
from chassis.settings import KafkaSettings
from chassis.unit_of_work import SqlTransactions
from mail_catcher import Faults, SmtpServer, Store
from mail_catcher.faults import Fault
from mail_catcher.smtp import Login
from notifications.consumers import ROUTES
from notifications.mailer import SmtpMailer
from notifications.mailer import SmtpServer as Server
from notifications.settings import Settings
from notifications.storage import SqlNotificationsUnitOfWork
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
def consumer_role(
    topics: Topics, transactions: SqlTransactions[SqlNotificationsUnitOfWork]
) -> Callable[..., ConsumerRole]:
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


@dataclass(frozen=True)
class Mailbox:
    """The sandbox's mail catcher on a port of its own."""

    store: Store
    faults: Faults
    port: int

    def fault(self, **changes: Any) -> None:
        self.faults.replace([Fault.model_validate({"times": 1, **changes})])

    def mailer(self, *, timeout: float = 5, **changes: Any) -> SmtpMailer:
        parts = {"host": "127.0.0.1", "port": self.port, "starttls": False, "username": "", "password": "", **changes}
        return SmtpMailer(Server(**parts, timeout=timeout), sender="Shop <orders@shop.example>", domain="shop.example")


@asynccontextmanager
async def mailbox_on_loopback(tls: ssl.SSLContext | None = None, login: Login | None = None) -> AsyncIterator[Mailbox]:
    store, faults = Store(), Faults()
    server = SmtpServer(store, faults, tls=tls, login=login)
    listener = bind("127.0.0.1", 0)
    await server.start(listener)
    try:
        yield Mailbox(store, faults, listener.getsockname()[1])
    finally:
        await server.stop()


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with mailbox_on_loopback() as mailbox:
        yield mailbox
