"""What the tests use: a PostgreSQL that starts with them, and a database that is empty again after each."""

from collections.abc import Iterator

import pytest
from backing_services.postgres import PostgresServer, SyncDatabaseIsolation
from shop.orders import create_tables
from sqlalchemy import Engine, create_engine


@pytest.fixture(scope="session")
def isolation(postgres_server: PostgresServer) -> Iterator[SyncDatabaseIsolation]:
    isolation = SyncDatabaseIsolation.create(postgres_server, name="shop", fingerprint="1", migrate=create_tables)
    yield isolation
    isolation.close()


@pytest.fixture
def engine(isolation: SyncDatabaseIsolation, request: pytest.FixtureRequest) -> Iterator[Engine]:
    with isolation.of_test(request.node) as database_url:
        engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
        yield engine
        engine.dispose()
