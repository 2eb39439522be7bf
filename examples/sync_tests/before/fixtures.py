"""What the tests use: a database that somebody has to start first, and that nobody empties."""

import os
from collections.abc import Iterator

import pytest
from shop.orders import create_tables
from sqlalchemy import Engine, create_engine


@pytest.fixture(scope="session")
def database_url() -> str:
    url = os.environ["DATABASE_URL"]
    create_tables(url)
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()
