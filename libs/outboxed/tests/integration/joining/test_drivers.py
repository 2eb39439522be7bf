"""Whose fault an error is, on each driver that a project may have."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from outboxed.storage import is_transient
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

METADATA = sa.MetaData()
NOTES = sa.Table("notes", METADATA, sa.Column("number", sa.Integer, unique=True), sa.Column("text", sa.Text))

Write = Callable[[sa.Connection], Any]


@pytest.fixture
def metadata() -> sa.MetaData:
    return METADATA


@pytest.fixture(params=["asyncpg", "psycopg"])
async def asynchronous(url: str, request: pytest.FixtureRequest) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(sa.make_url(url).set(drivername=f"postgresql+{request.param}"))
    yield engine
    await engine.dispose()


def insertion(*rows: dict[str, Any]) -> Write:
    return lambda connection: [connection.execute(sa.insert(NOTES).values(row)) for row in rows]


OF_THE_VALUE = {
    "a row that is there": insertion({"number": 1}, {"number": 1}),
    "a number that is too large": insertion({"number": 2**40}),
    "a text that has a NUL": insertion({"text": "a\0b"}),
    "a value that has no form in SQL": insertion({"text": object()}),
}


@pytest.mark.parametrize("write", OF_THE_VALUE.values(), ids=OF_THE_VALUE)
async def test_a_value_that_is_refused_is_its_events_fault(asynchronous: AsyncEngine, write: Write) -> None:
    with pytest.raises((DBAPIError, ValueError)) as refused:
        async with asynchronous.begin() as connection:
            await connection.run_sync(write)

    assert not is_transient(refused.value)


@pytest.mark.parametrize("write", OF_THE_VALUE.values(), ids=OF_THE_VALUE)
def test_a_value_that_is_refused_is_its_events_fault_on_psycopg2(sync_engine: sa.Engine, write: Write) -> None:
    with pytest.raises((DBAPIError, ValueError)) as refused, sync_engine.begin() as connection:
        write(connection)

    assert not is_transient(refused.value)


def cut(connection: sa.Connection) -> None:
    """The server ends the session, as in a fail-over."""
    connection.execute(sa.text("select pg_terminate_backend(pg_backend_pid())"))


async def test_a_session_that_ends_is_nobodys_fault(asynchronous: AsyncEngine) -> None:
    with pytest.raises(DBAPIError) as ended:
        async with asynchronous.connect() as connection:
            await connection.run_sync(cut)

    assert is_transient(ended.value)


def test_a_session_that_ends_is_nobodys_fault_on_psycopg2(sync_engine: sa.Engine) -> None:
    with pytest.raises(DBAPIError) as ended, sync_engine.connect() as connection:
        cut(connection)

    assert is_transient(ended.value)
