"""What every level of this service's tests builds on."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from backing_services.postgres import DatabaseIsolation, PostgresServer
from orders.app import NAME
from orders.handlers import OrderPolicy
from orders.pricing import PricingService
from orders.settings import Settings
from orders.storage import SqlOrdersUnitOfWork
from outboxed.storage import Clock, SqlTransactions, create_engine
from outboxed.testing.services import engine_of_test, service_isolation
from sqlalchemy.ext.asyncio import AsyncEngine

PAYMENT_DEADLINE = timedelta(minutes=15)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(environment="test", rate_limit_per_minute=0)


@pytest.fixture(scope="session")
def policy() -> OrderPolicy:
    return OrderPolicy(PricingService(), PAYMENT_DEADLINE)


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
) -> AsyncIterator[SqlTransactions[SqlOrdersUnitOfWork]]:
    """The service's transactions on PostgreSQL; the database is empty again afterwards."""
    async with engine_of_test(isolation, engine, request.node) as engine_here:
        yield SqlTransactions(engine_here, SqlOrdersUnitOfWork, source=f"/{NAME}", clock=clock)
