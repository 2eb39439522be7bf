from collections.abc import AsyncIterator

import pytest
from testkit.kafka import KafkaCluster
from testkit.postgres import PostgresServer

from tests.customer import Customer

from .shop import Shop, open_shop


@pytest.fixture(scope="session")
async def shop(postgres_server: PostgresServer, kafka_cluster: KafkaCluster) -> AsyncIterator[Shop]:
    """Opened once for all journeys; each has a customer of its own."""
    async with open_shop(postgres_server, kafka_cluster) as shop:
        yield shop


@pytest.fixture
async def customer(shop: Shop) -> Customer:
    return await shop.customer()
