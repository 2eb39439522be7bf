"""Tests of every service's migrations: `class TestMigrations(MigrationSuite)` in its integration tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from backing_services.postgres import DatabaseIsolation
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outboxed.messages import EventIdentity
from outboxed.storage import Clock, create_engine, migrate, schema_problem, tables
from outboxed.storage._inbox import SqlInbox

_OF_THE_RELEASE_BEFORE = {
    "insert into inbox (event_id, handled_at) select unnest(array['1']), now() on conflict do nothing": [1, 0],
    """
    insert into dead_letters (source, consumer_group, topic, partition, "offset", headers, reason)
    values ('event', 'g', 't', 0, 7, '[]', 'why') on conflict on constraint dead_letters_position do nothing
    """: [1, 0],
}
"""Its statements that name a constraint or leave out a column, and how many rows each run writes."""


_CONSTRAINTS = """
select conrelid::regclass, conname, pg_get_constraintdef(oid) from pg_constraint
where connamespace = cast(:schema as regnamespace)
"""
_INDEXES = "select tablename, indexname, indexdef from pg_indexes where schemaname = :schema"


class MigrationSuite:
    """Needs the fixture `isolation` (see service_isolation); each test has a database of its own."""

    package: ClassVar[str]
    metadata: ClassVar[sa.MetaData]

    @pytest.fixture
    async def private(self, isolation: DatabaseIsolation) -> AsyncIterator[AsyncEngine]:
        """A migrated database that a test may spoil."""
        async with migrated_database(isolation) as engine:
            yield engine

    @pytest.fixture
    async def empty(self, isolation: DatabaseIsolation) -> AsyncIterator[AsyncEngine]:
        """A database without a schema."""
        async with empty_database(isolation) as engine:
            yield engine

    async def test_the_migrated_schema_is_that_of_the_tables(self, private: AsyncEngine) -> None:
        def differences(connection: sa.Connection) -> Any:
            options = {"compare_type": True, "compare_server_default": True}
            return compare_metadata(MigrationContext.configure(connection, opts=options), self._all_tables())

        async with private.connect() as connection:
            assert await connection.run_sync(differences) == []

    async def test_constraints_and_indexes_are_those_of_the_tables_to_the_last_condition(
        self, private: AsyncEngine, empty: AsyncEngine
    ) -> None:
        """Alembic compares no check, and not the rows that an index is for."""
        async with empty.begin() as connection:
            await connection.run_sync(self._all_tables().create_all)

        async with private.connect() as migrated, empty.connect() as made:
            assert await constraints_and_indexes(migrated) == await constraints_and_indexes(made)

    async def test_concurrent_runs_wait_for_each_other_and_end_at_the_same_schema(self, empty: AsyncEngine) -> None:
        await asyncio.gather(*(migrate(empty, self.package) for _ in range(3)))

        assert await schema_problem(empty, self.package) is None

    async def test_two_databases_may_be_migrated_at_once(
        self, empty: AsyncEngine, isolation: DatabaseIsolation
    ) -> None:
        async with empty_database(isolation) as other:
            await asyncio.gather(migrate(empty, self.package), migrate(other, self.package))

            assert [await schema_problem(engine, self.package) for engine in (empty, other)] == [None, None]

    async def test_another_run_changes_nothing(self, private: AsyncEngine) -> None:
        await migrate(private, self.package)

        assert await schema_problem(private, self.package) is None

    async def test_an_empty_database_is_a_problem_with_a_remedy(self, empty: AsyncEngine) -> None:
        told = f"the schema is at nothing: run `python -m {self.package} migrate`"

        assert await schema_problem(empty, self.package) == told

    async def test_a_newer_releases_schema_will_do(self, private: AsyncEngine) -> None:
        async with private.begin() as connection:
            await connection.execute(sa.text("update alembic_version set version_num = '9999'"))

        assert await schema_problem(private, self.package) is None

    async def test_a_migration_that_fails_leaves_nothing_behind(self, empty: AsyncEngine) -> None:
        async with empty.begin() as connection:
            await connection.execute(sa.text("create table dead_letters (id int)"))

        with pytest.raises(sa.exc.ProgrammingError, match="dead_letters"):
            await migrate(empty, self.package)

        async with empty.connect() as connection:
            names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
        assert names == ["dead_letters"]

    async def test_the_release_before_goes_on_handling_events_and_adding_dead_letters(
        self, private: AsyncEngine
    ) -> None:
        async with private.begin() as connection:
            for statement, counts in _OF_THE_RELEASE_BEFORE.items():
                assert [(await connection.execute(sa.text(statement))).rowcount for _ in counts] == counts

    async def test_what_the_release_before_has_handled_is_not_handled_again(self, private: AsyncEngine) -> None:
        async with private.begin() as connection:
            await connection.execute(sa.text("insert into inbox (event_id) values ('1')"))

            new = await SqlInbox(connection, Clock()).insert([EventIdentity("/any", "1"), EventIdentity("/any", "2")])

        assert new == {EventIdentity("/any", "2")}

    def _all_tables(self) -> sa.MetaData:
        together = sa.MetaData()
        for table in [*self.metadata.tables.values(), *tables.metadata.tables.values()]:
            table.to_metadata(together)
        return together


async def constraints_and_indexes(connection: AsyncConnection, schema: str = "public") -> dict[tuple[str, str], str]:
    """The definition of each, by the names of its table and its own, without that of `schema`, which is searched."""
    await connection.execute(sa.text(f"set local search_path to {schema}"))
    found = [
        row
        for query in (_CONSTRAINTS, _INDEXES)
        for row in await connection.execute(sa.text(query), {"schema": schema})
    ]
    return {
        (table, name): definition.replace(f" {schema}.", " ")
        for table, name, definition in found
        if table != "alembic_version"
    }


@asynccontextmanager
async def migrated_database(isolation: DatabaseIsolation) -> AsyncIterator[AsyncEngine]:
    async with isolation.private() as url:
        engine = create_engine(url, application_name="tests")
        yield engine
        await engine.dispose()


@asynccontextmanager
async def empty_database(isolation: DatabaseIsolation) -> AsyncIterator[AsyncEngine]:
    async with migrated_database(isolation) as engine:
        async with engine.begin() as connection:
            await connection.execute(sa.text("drop schema public cascade"))
            await connection.execute(sa.text("create schema public"))
        yield engine
