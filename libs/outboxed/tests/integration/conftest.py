"""Kafka topics and a consumer group of each test's own."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from backing_services.kafka import KafkaCluster, MockKafka
from backing_services.waiting import eventually
from outboxed.consuming import BatchConsumer, ConsumerRole, DeadLetterQueue, Route
from outboxed.process import Metrics
from outboxed.relay import Relay
from outboxed.relay._partitioner import partition_of
from outboxed.storage import SqlTransactions, tables
from outboxed.testing.services import consumer_role
from outboxed.testing.topics import PARTITIONS, Topics
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ..sample import MoneyMoved, SqlAccounts, credit
from .compat import bury, leave_without_a_word

TOPICS = ("accounts", "moves")
Transactions = SqlTransactions[SqlAccounts]
WAITS = sa.text(
    "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"
)


@pytest.fixture
async def topics(kafka_cluster: KafkaCluster) -> AsyncIterator[Topics]:
    async with Topics.of_test(kafka_cluster, TOPICS) as topics:
        yield topics


@pytest.fixture
def own_kafka() -> Iterator[MockKafka]:
    """A Kafka that a test may take down."""
    with MockKafka() as kafka:
        yield kafka


@pytest.fixture
async def own_topics(own_kafka: MockKafka) -> Topics:
    return await Topics.create(own_kafka, TOPICS)


def relay_of(transactions: Transactions, topics: Topics, **options: Any) -> Relay:
    return Relay(transactions.engine, topics.kafka, transactions.events_appended, **options)


@asynccontextmanager
async def abandoned_at_the_end(relay: Relay) -> AsyncIterator[Relay]:
    """For a relay whose passes a test makes one by one."""
    try:
        yield relay
    finally:
        await relay._producer.abandon()  # noqa: SLF001 - what run() does at its end


@pytest.fixture
async def own_relay(own_topics: Topics, transactions: Transactions) -> AsyncIterator[Relay]:
    """On a Kafka that a test may take down."""
    async with abandoned_at_the_end(relay_of(transactions, own_topics)) as relay:
        yield relay


@pytest.fixture
def consumer(transactions: Transactions) -> BatchConsumer[Any]:
    return BatchConsumer("bank", [Route(MoneyMoved, credit)], transactions, Metrics(transactions.clock))


@pytest.fixture
def letters(transactions: Transactions, consumer: BatchConsumer[Any]) -> DeadLetterQueue[SqlAccounts]:
    return DeadLetterQueue(transactions, consumer)


def role_of(
    topics: Topics, database: Any, *, handle: Any = credit, metrics: Metrics | None = None
) -> tuple[ConsumerRole, BatchConsumer[Any]]:
    """A consumer as a composition root makes it, in this test's group."""
    return consumer_role(topics, [Route(MoneyMoved, handle)], database, metrics=metrics)


def keys_of(partition: int) -> Iterator[UUID]:
    """Random keys whose events belong to this partition of a topic. Twelve keys can all belong to two of four."""
    return (key for key in iter(uuid4, None) if partition_of(str(key).encode(), PARTITIONS) == partition)


async def insert_tasks(engine: AsyncEngine, tasks: Iterable[tuple[str, int, int, int | None]]) -> None:
    """Tasks by their kind, and the minutes from now at which they were due first, are due, and their lease ends.

    Their keys are 0, 1 and so on.
    """
    now = sa.func.now()
    rows: list[dict[str, Any]] = [
        {
            "kind": kind,
            "key": str(number),
            "payload": {},
            "first_due_at": now + timedelta(minutes=first),
            "due_at": now + timedelta(minutes=then),
            "leased_until": None if leased is None else now + timedelta(minutes=leased),
        }
        for number, (kind, first, then, leased) in enumerate(tasks)
    ]
    async with engine.begin() as connection:
        await connection.execute(sa.insert(tables.tasks).values(rows))


async def count(engine: AsyncEngine, table: sa.Table) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())


@contextmanager
def statements_of(engine: AsyncEngine) -> Iterator[list[str]]:
    """What is executed in the block, as it is sent."""
    said: list[str] = []

    def hear(_: Any, __: Any, statement: str, *___: Any) -> None:
        said.append(statement)

    sa.event.listen(engine.sync_engine, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        sa.event.remove(engine.sync_engine, "before_cursor_execute", hear)


async def somebody_waits(engine: AsyncEngine) -> None:
    """Until a session of this test's database waits for another one's lock."""
    watching = create_async_engine(engine.url, poolclass=sa.NullPool)  # the engine's own pool may be exhausted

    async def one_waits() -> bool:
        async with watching.connect() as connection:
            return bool((await connection.execute(WAITS)).scalar_one())

    await eventually(one_waits)


async def kill_consumer(role: ConsumerRole, running: "asyncio.Task[None]") -> None:
    """As SIGKILL looks from outside: nothing is finished or committed, and the group isn't told."""
    client: Any = role._subscriber.consumer  # noqa: SLF001 - a role has no such way to end
    if client is None:
        return
    leave_without_a_word(client)
    for task in role._subscriber.tasks:  # noqa: SLF001 - as above
        task.cancel()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await bury(client)
