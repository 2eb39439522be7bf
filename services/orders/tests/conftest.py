"""What every level of this service's tests builds on."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from chassis import messaging_schema, migrations
from chassis.clock import Clock
from chassis.database import create_engine
from chassis.unit_of_work import SqlTransactions
from orders.app import NAME
from orders.handlers import OrderPolicy
from orders.pricing import PricingService
from orders.settings import Settings
from orders.storage import SqlOrdersUnitOfWork
from sqlalchemy.ext.asyncio import AsyncEngine
from testkit.isolation import DatabaseIsolation
from testkit.postgres import PostgresServer

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


def _fingerprint() -> str:
    """Of all that makes the schema: the template database is kept from run to run."""
    files = [Path(messaging_schema.__file__), *sorted(migrations.migrations_path(NAME).rglob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


async def _migrate(url: str) -> None:
    engine = create_engine(url, application_name="tests")
    try:
        await migrations.migrate(engine, NAME)
    finally:
        await engine.dispose()


@pytest.fixture(scope="session")
async def isolation(postgres_server: PostgresServer) -> AsyncIterator[DatabaseIsolation]:
    isolation = await DatabaseIsolation.create(postgres_server, name=NAME, fingerprint=_fingerprint(), migrate=_migrate)
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
    engine: AsyncEngine, isolation: DatabaseIsolation, clock: Clock
) -> AsyncIterator[SqlTransactions[SqlOrdersUnitOfWork]]:
    """The service's transactions on PostgreSQL; the database is empty again afterwards."""
    yield SqlTransactions(engine, SqlOrdersUnitOfWork, source=f"/{NAME}", clock=clock)
    await isolation.clean()
