"""Kafka for tests of relay and consumer: topics and a consumer group of each test's own."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from backing_services.kafka import KafkaCluster
from orders.consumers import ROUTES
from orders.storage import SqlOrdersUnitOfWork
from outboxed.consuming import ConsumerRole
from outboxed.relay import Relay
from outboxed.storage import SqlTransactions
from outboxed.testing import services
from outboxed.testing.topics import Topics


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
