"""The migrations, each test on a database of its own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from chassis import tables
from chassis.database import create_engine
from chassis.migrations import migrate, schema_problem
from notifications.app import NAME
from notifications.storage import metadata
from sqlalchemy.ext.asyncio import AsyncEngine
from testkit.isolation import DatabaseIsolation


@pytest.fixture
async def private(isolation: DatabaseIsolation) -> AsyncIterator[AsyncEngine]:
    """A migrated database that a test may spoil."""
    async with isolation.private() as url:
        engine = create_engine(url, application_name="tests")
        yield engine
        await engine.dispose()


@pytest.fixture
async def empty(private: AsyncEngine) -> AsyncEngine:
    async with private.begin() as connection:
        await connection.execute(sa.text("drop schema public cascade"))
        await connection.execute(sa.text("create schema public"))
    return private


async def test_the_migrated_schema_is_that_of_the_tables(private: AsyncEngine) -> None:
    def differences(connection: sa.Connection) -> Any:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, _all_tables())

    async with private.connect() as connection:
        assert await connection.run_sync(differences) == []


def _all_tables() -> sa.MetaData:
    together = sa.MetaData()
    for table in [*metadata.tables.values(), *tables.metadata.tables.values()]:
        table.to_metadata(together)
    return together


async def test_concurrent_runs_wait_for_each_other_and_end_at_the_same_schema(empty: AsyncEngine) -> None:
    await asyncio.gather(*(migrate(empty, NAME) for _ in range(3)))

    assert await schema_problem(empty, NAME) is None


async def test_another_run_changes_nothing(private: AsyncEngine) -> None:
    await migrate(private, NAME)

    assert await schema_problem(private, NAME) is None


async def test_an_empty_database_is_a_problem_with_a_remedy(empty: AsyncEngine) -> None:
    assert await schema_problem(empty, NAME) == f"the schema is at nothing: run `python -m {NAME} migrate`"


async def test_a_newer_releases_schema_will_do(private: AsyncEngine) -> None:
    async with private.begin() as connection:
        await connection.execute(sa.text("update alembic_version set version_num = '9999'"))

    assert await schema_problem(private, NAME) is None


async def test_a_migration_that_fails_leaves_nothing_behind(empty: AsyncEngine) -> None:
    async with empty.begin() as connection:
        await connection.execute(sa.text("create table dead_letters (id int)"))

    with pytest.raises(sa.exc.ProgrammingError, match="dead_letters"):
        await migrate(empty, NAME)

    async with empty.connect() as connection:
        names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
    assert names == ["dead_letters"]
