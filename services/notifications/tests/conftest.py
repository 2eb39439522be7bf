"""What every level of this service's tests builds on."""

from collections.abc import AsyncIterator

import pytest
from backing_services.postgres import DatabaseIsolation, PostgresServer
from notifications.app import NAME
from notifications.settings import Settings
from notifications.storage import SqlNotificationsUnitOfWork
from outboxed.storage import Clock, SqlTransactions, create_engine
from outboxed.testing.services import engine_of_test, service_isolation
from outboxed.testing.tokens import KeyPair
from sqlalchemy.ext.asyncio import AsyncEngine

from .fakes import key_pair


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def keys() -> KeyPair:
    return key_pair()


@pytest.fixture(scope="session")
def settings(keys: KeyPair) -> Settings:
    return Settings(environment="test", jwt_public_keys=(keys.public,))


@pytest.fixture(scope="session")
async def isolation(postgres_server: PostgresServer) -> AsyncIterator[DatabaseIsolation]:
    isolation = await service_isolation(postgres_server, NAME)
    yield isolation
    await isolation.close()


@pytest.fixture(scope="session")
async def engine(isolation: DatabaseIsolation) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(isolation.url, application_name=NAME)
    isolation.watch(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
async def transactions(
    request: pytest.FixtureRequest, engine: AsyncEngine, isolation: DatabaseIsolation, clock: Clock
) -> AsyncIterator[SqlTransactions[SqlNotificationsUnitOfWork]]:
    """The service's transactions on PostgreSQL; the database is empty again afterwards."""
    async with engine_of_test(isolation, engine, request.node) as engine_here:
        yield SqlTransactions(engine_here, SqlNotificationsUnitOfWork, source=f"/{NAME}", clock=clock)
