"""What every level of outboxed's tests builds on."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from backing_services.postgres import DatabaseIsolation, PostgresServer
from backing_services.postgres.plans import Plans
from outboxed.storage import Clock, SqlTransactions, create_engine, tables
from outboxed.testing.fixtures import READ_WHOLE, clock, engine, new_id, plans
from outboxed.testing.services import engine_of_test
from sqlalchemy.ext.asyncio import AsyncEngine

from . import sample

__all__ = ["clock", "engine", "plans"]

account_id = new_id

OF_TESTS = ("FROM outbox WHERE outbox.retry_at IS NULL", "outbox.attempts >")
"""Parts of statements that only tests execute."""


def _fingerprint() -> str:
    files = [Path(str(tables.__file__)), Path(str(sample.__file__))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


async def _create_tables(url: str) -> None:
    engine = create_engine(url, application_name="tests")
    try:
        async with engine.begin() as connection:
            await connection.run_sync(tables.metadata.create_all)
            await connection.run_sync(sample.metadata.create_all)
    finally:
        await engine.dispose()


@pytest.fixture(scope="session")
async def isolation(postgres_server: PostgresServer) -> AsyncIterator[DatabaseIsolation]:
    isolation = await DatabaseIsolation.create(
        postgres_server, name="outboxed", fingerprint=_fingerprint(), migrate=_create_tables
    )
    yield isolation
    await isolation.close()


@pytest.fixture
async def transactions(
    request: pytest.FixtureRequest, engine: AsyncEngine, isolation: DatabaseIsolation, plans: Plans, clock: Clock
) -> AsyncIterator[SqlTransactions[sample.SqlAccounts]]:
    """The sample's transactions on PostgreSQL; the database is empty again afterwards."""
    async with engine_of_test(isolation, engine, request.node) as engine_here:
        yield SqlTransactions(engine_here, sample.SqlAccounts, source="/accounts", clock=clock)
    await plans.refuse_whole_reads([*READ_WHOLE, *OF_TESTS])
