"""A database and the engines of a project of somebody else's."""

from collections.abc import AsyncIterator, Iterator

import pytest
import sqlalchemy as sa
from backing_services.postgres import DatabaseIsolation
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine


@pytest.fixture
def metadata() -> sa.MetaData:
    """The tables that are there from the beginning; none, unless a module says otherwise."""
    return sa.MetaData()


@pytest.fixture
async def url(isolation: DatabaseIsolation, metadata: sa.MetaData) -> AsyncIterator[str]:
    async with isolation.private() as url:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.execute(sa.text("drop schema public cascade"))  # it has the tables of a service
            await connection.execute(sa.text("create schema public"))
            await connection.run_sync(metadata.create_all)
        await engine.dispose()
        yield url


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    return async_sessionmaker(engine)


@pytest.fixture
def sync_engine(url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg2"))
    yield engine
    engine.dispose()
