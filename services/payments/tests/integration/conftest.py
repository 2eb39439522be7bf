"""Kafka topics and a consumer group of each test's own, and the sandbox gateway behind HTTP."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from backing_services.kafka import KafkaCluster
from outboxed.consuming import ConsumerRole
from outboxed.process import bind, http_role
from outboxed.relay import Relay
from outboxed.storage import SqlTransactions
from outboxed.testing import services
from outboxed.testing.topics import Topics
from payment_gateway import Ledger, create_app
from payments.consumers import ROUTES
from payments.storage import SqlPaymentsUnitOfWork


@pytest.fixture
async def topics(kafka_cluster: KafkaCluster) -> AsyncIterator[Topics]:
    async with Topics.of_test(kafka_cluster, ["orders", "payments"]) as topics:
        yield topics


@pytest.fixture
def relay(topics: Topics, transactions: SqlTransactions[SqlPaymentsUnitOfWork]) -> Relay:
    return Relay(transactions.engine, topics.kafka, transactions.events_appended)


@pytest.fixture
def consumer_role(topics: Topics, transactions: SqlTransactions[SqlPaymentsUnitOfWork]) -> Callable[..., ConsumerRole]:
    """Makes the service's consumer as the composition root does, in this test's group."""

    def make(database: Any = transactions) -> ConsumerRole:
        return services.consumer_role(topics, ROUTES, database)[0]

    return make


@dataclass(frozen=True)
class GatewayServer:
    """The sandbox gateway on a port of its own; one for all tests, each has orders of its own."""

    url: str
    http: httpx.AsyncClient

    async def put_faults(self, *faults: dict[str, Any]) -> None:
        response = await self.http.put("/_faults", json={"faults": [{"times": 1, **fault} for fault in faults]})
        response.raise_for_status()


@pytest.fixture(scope="session")
async def gateway_server() -> AsyncIterator[GatewayServer]:
    listener, ledger = bind("127.0.0.1", 0), Ledger()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with services.running(http_role(create_app(ledger), listener).run), httpx.AsyncClient(base_url=url) as http:
        yield GatewayServer(url, http)
    ledger.close()
