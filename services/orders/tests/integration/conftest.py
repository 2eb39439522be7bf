"""Kafka for tests of relay and consumer: topics and a consumer group of each test's own."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from chassis.kafka_consumer import ConsumerRole
from chassis.relay import Relay
from chassis.unit_of_work import SqlTransactions
from orders.consumers import ROUTES
from orders.storage import SqlOrdersUnitOfWork
from testkit import services
from testkit.kafka import KafkaCluster
from testkit.topics import Topics


@pytest.fixture
async def topics(kafka_cluster: KafkaCluster) -> AsyncIterator[Topics]:
    async with Topics.of_test(kafka_cluster, ["orders", "payments"]) as topics:
        yield topics


@pytest.fixture
def relay(topics: Topics, transactions: SqlTransactions[SqlOrdersUnitOfWork]) -> Relay:
    return Relay(transactions.engine, topics.kafka, transactions.events_appended)


@pytest.fixture
def consumer_role(topics: Topics, transactions: SqlTransactions[SqlOrdersUnitOfWork]) -> Callable[..., ConsumerRole]:
    """Makes the service's consumer as the composition root does, in this test's group."""

    def make(database: Any = transactions) -> ConsumerRole:
        return services.consumer_role(topics, ROUTES, database)[0]

    return make
