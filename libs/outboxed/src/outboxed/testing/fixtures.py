"""Fixtures for the tests of a service: `from outboxed.testing.fixtures import *` in its conftest.py.

A service defines the fixture `service` (a ServiceUnderTest) there. The import gives each service its own copies: from a
plugin, the session fixtures of the first service would be used for all services.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from backing_services.kafka import KafkaCluster
from backing_services.postgres import DatabaseIsolation, PostgresServer
from backing_services.postgres.plans import Plans
from fastapi import FastAPI
from faststream.kafka import TestKafkaBroker
from sqlalchemy.ext.asyncio import AsyncEngine

from outboxed.consuming import BatchConsumer, ConsumerRole, Subscriber, create_broker, subscribe
from outboxed.process import Metrics
from outboxed.relay import Relay
from outboxed.storage import Clock, SqlTransactions, create_engine
from outboxed.storage.tables import dead_letters
from outboxed.testing import services
from outboxed.testing.adapters import Backend, InMemoryBackend, SqlBackend
from outboxed.testing.memory import InMemoryDatabase, SteadyClock
from outboxed.testing.services import engine_of_test, service_isolation
from outboxed.testing.topics import Topics

__all__ = [
    "ServiceUnderTest",
    "app",
    "backend",
    "clock",
    "consume",
    "consumer",
    "consumer_role",
    "database",
    "engine",
    "http",
    "in_memory",
    "isolation",
    "plans",
    "relay",
    "subscriber",
    "topics",
    "transactions",
]

READ_WHOLE = (
    "FROM outbox WHERE outbox.key = ",  # what waits of one key, for a person who asks
    "WHERE outbox.retry_at <= clock_timestamp() AND NOT",  # among the rows that Kafka refuses alone
    "WHERE outbox.retry_at = timestamptz 'infinity' AND NOT",  # likewise
)
"""Parts of this library's statements that may read a large table to its end."""


@dataclass(frozen=True)
class ServiceUnderTest:
    """What the fixtures know of a service.

    `topics` are all topics that it reads or publishes to. `reads_whole` are parts of statements that may read a large
    table to its end.
    """

    name: str
    settings: Any
    unit_of_work: Callable[..., Any]
    routes: Sequence[Any]
    topics: Sequence[str]
    create_app: Callable[[Any], FastAPI]
    in_memory: Callable[[Clock], InMemoryDatabase[Any]]
    reads_whole: Sequence[str] = ()


@pytest.fixture
def clock() -> Clock:
    """The test's own clock; move it to reach deadlines and retries."""
    return SteadyClock()


@pytest.fixture(scope="session")
async def isolation(postgres_server: PostgresServer, service: ServiceUnderTest) -> AsyncIterator[DatabaseIsolation]:
    """A database with the schema of the service's migrations."""
    isolation = await service_isolation(postgres_server, service.name)
    yield isolation
    await isolation.close()


@pytest.fixture(scope="session")
async def plans(isolation: DatabaseIsolation) -> AsyncIterator[Plans]:
    """What PostgreSQL would do if the tables were large; dead letters are for people, and never many."""
    async with Plans.of(isolation, small=[dead_letters.name]) as plans:
        yield plans


@pytest.fixture(scope="session")
async def engine(isolation: DatabaseIsolation, plans: Plans) -> AsyncIterator[AsyncEngine]:
    """The session's engine; a test that doesn't give a connection back fails."""
    engine = create_engine(isolation.url, application_name="tests")
    isolation.watch(engine)
    plans.hear(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
async def transactions(  # noqa: PLR0913, PLR0917 - other fixtures
    request: pytest.FixtureRequest,
    engine: AsyncEngine,
    isolation: DatabaseIsolation,
    plans: Plans,
    clock: Clock,
    service: ServiceUnderTest,
) -> AsyncIterator[SqlTransactions[Any]]:
    """The service's transactions on PostgreSQL; the database is empty again afterwards.

    The test fails where a statement would read a large table to its end, unless `service.reads_whole` lets it through.
    """
    async with engine_of_test(isolation, engine, request.node) as engine_here:
        yield SqlTransactions(engine_here, service.unit_of_work, source=f"/{service.name}", clock=clock)
    await plans.refuse_whole_reads([*READ_WHOLE, *service.reads_whole])


@pytest.fixture
async def topics(kafka_cluster: KafkaCluster, service: ServiceUnderTest) -> AsyncIterator[Topics]:
    """Topics and a consumer group of the test's own."""
    async with Topics.of_test(kafka_cluster, service.topics) as topics:
        yield topics


@pytest.fixture
def relay(topics: Topics, transactions: SqlTransactions[Any]) -> Relay:
    """A relay from the service's outbox to the test's topics."""
    return Relay(transactions.engine, topics.kafka, transactions.events_appended)


@pytest.fixture
def consumer_role(
    topics: Topics, transactions: SqlTransactions[Any], service: ServiceUnderTest
) -> Callable[..., ConsumerRole]:
    """Makes the service's consumer as the composition root does, in the test's group."""

    def make(database: Any = transactions) -> ConsumerRole:
        return services.consumer_role(topics, service.routes, database)[0]

    return make


@pytest.fixture
def database(clock: Clock, service: ServiceUnderTest) -> InMemoryDatabase[Any]:
    """The service's database in memory, empty."""
    return service.in_memory(clock)


@pytest.fixture
def in_memory(database: Any) -> InMemoryBackend:
    """The service's ports in memory, on its fixture `database`."""
    return InMemoryBackend(database)


@pytest.fixture(params=["in memory", "PostgreSQL"])
def backend(request: pytest.FixtureRequest, in_memory: InMemoryBackend) -> Backend:
    """Runs each test twice: on the service's fixture `in_memory`, and on its transactions on PostgreSQL."""
    return in_memory if request.param == "in memory" else SqlBackend(request.getfixturevalue("transactions"))


@pytest.fixture
def consumer(database: Any, service: ServiceUnderTest) -> BatchConsumer[Any]:
    """The service's consumer, in memory."""
    return BatchConsumer(service.name, service.routes, database, Metrics(database.clock))


@pytest.fixture
async def subscriber(consumer: BatchConsumer[Any], service: ServiceUnderTest) -> AsyncIterator[Subscriber]:
    """The service's real subscriber on FastStream's test broker: parser, envelope, decoding, dispatch, handlers."""
    broker = create_broker(service.settings.kafka)
    subscriber = subscribe(broker, consumer, service.settings.kafka)
    async with TestKafkaBroker(broker):
        yield subscriber


@pytest.fixture
def consume(subscriber: Subscriber) -> Callable[..., Awaitable[None]]:
    """Feeds records to the subscriber, as one batch."""

    async def feed(*records: Any) -> None:
        await subscriber.process_message(records)

    return feed


@pytest.fixture(scope="session")
def app(service: ServiceUnderTest) -> FastAPI:
    """The service's HTTP app; a test overrides its dependencies."""
    return service.create_app(service.settings)


@pytest.fixture(scope="session")
async def http(app: FastAPI, service: ServiceUnderTest) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app in this process, shared by all tests: making one costs more than most tests."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{service.name}/api/v1") as client:
        yield client


@pytest.fixture
def new_id() -> UUID:
    """The id of something that nobody has heard of; import it under the name of what it is."""
    return uuid4()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of localhost, in one file with the authority that signed it; and its key."""
    import trustme  # noqa: PLC0415 - few tests need a certificate

    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for pem in (*issued.cert_chain_pems, authority.cert_pem):
        pem.write_to_path(folder / "certificate.pem", append=True)
    return folder / "certificate.pem", folder / "key.pem"
