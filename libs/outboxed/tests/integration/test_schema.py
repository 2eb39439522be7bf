"""Changes of the schema on tables that have rows."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from inspect import isfunction
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from backing_services.postgres import DatabaseIsolation
from outboxed.messages import EventIdentity
from outboxed.storage import Clock, migrate, schema, schema_problem, tables
from outboxed.storage._inbox import SqlInbox
from outboxed.testing.suites.migrations import (
    MigrationSuite,
    constraints_and_indexes,
    empty_database,
    migrated_database,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from .. import sample

LETTER = """
insert into dead_letters (source, consumer_group, topic, partition, "offset", key, value, headers, reason)
values ('event', 'g', 't', 0, 7, null, %s, '[]', 'why')
"""
STEPS = [step for step in vars(schema).values() if isfunction(step) and step.__module__ == schema.__name__]
"""All that a service's migrations call, the oldest first."""
AGAIN = f"{LETTER} on conflict on constraint dead_letters_position do nothing"


@pytest.fixture
async def before(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction in which the tables are those of the release before, empty; it is rolled back."""
    async with engine.connect() as connection:
        for statement in (
            "create schema before",
            "set local search_path to before",
            *schema._V1,  # noqa: SLF001 - there is no earlier release to run
            *schema._DEAD_LETTER_EDITS,  # noqa: SLF001 - as above
        ):
            await connection.exec_driver_sql(statement)
        yield connection


async def identities_are_added(connection: AsyncConnection) -> None:
    for statement in schema._IDENTITIES:  # noqa: SLF001 - alembic's op isn't needed for it
        await connection.exec_driver_sql(statement)


async def test_the_inbox_is_not_rewritten_and_what_it_has_is_known(before: AsyncConnection) -> None:
    await before.exec_driver_sql("insert into inbox (event_id) values ('1'), ('2')")
    file = "select pg_relation_filenode('inbox'), pg_relation_filenode('inbox_pkey')"
    files = (await before.exec_driver_sql(file)).one()

    await identities_are_added(before)

    assert (await before.exec_driver_sql(file)).one() == files
    events = [EventIdentity("/any", event_id) for event_id in ("1", "2", "3")]
    assert await SqlInbox(before, Clock()).insert(events) == {EventIdentity("/any", "3")}


async def test_a_dead_letter_of_the_release_before_is_told_from_another_one_at_its_position(
    before: AsyncConnection,
) -> None:
    await before.exec_driver_sql(LETTER % "'one'")

    await identities_are_added(before)

    written = [(await before.exec_driver_sql(AGAIN % value)).rowcount for value in ("'one'", "'two'", "'two'", "null")]
    assert written == [0, 1, 0, 1]


@pytest.mark.parametrize("part", ["key", "value", "headers"])
async def test_a_record_is_another_one_if_any_of_its_parts_is(before: AsyncConnection, part: str) -> None:
    await identities_are_added(before)

    async def written(**parts: str) -> int:
        values = {"key": "null", "value": "null", "headers": "'[]'", **parts}
        columns = 'source, consumer_group, topic, partition, "offset", reason, key, value, headers'
        row = f"'event', 'g', 't', 0, 7, 'why', {values['key']}, {values['value']}, {values['headers']}"
        again = "on conflict on constraint dead_letters_position do nothing"
        statement = f"insert into dead_letters ({columns}) values ({row}) {again}"  # noqa: S608 - our own values
        return (await before.exec_driver_sql(statement)).rowcount

    assert [await written() for _ in range(2)] == [1, 0]
    assert [await written(**{part: "'another'"}) for _ in range(2)] == [1, 0]


async def test_migrated_tables_have_the_constraints_and_indexes_that_statements_count_on(engine: AsyncEngine) -> None:
    def migrate_in_steps(connection: sa.Connection) -> None:
        with Operations.context(MigrationContext.configure(connection)):
            for step in STEPS:
                step()

    async with engine.connect() as connection:
        made = await constraints_and_indexes(connection)
        await connection.exec_driver_sql("create schema migrated")
        await connection.exec_driver_sql("set local search_path to migrated")
        await connection.run_sync(migrate_in_steps)
        migrated = await constraints_and_indexes(connection, "migrated")

    assert migrated == {(table, name): text for (table, name), text in made.items() if table in tables.metadata.tables}


async def test_a_second_migration_waits_for_the_first_for_longer_than_a_request_would(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[str] = []

    @sa.event.listens_for(engine.sync_engine, "before_cursor_execute")
    def before_it_waits(_: Any, cursor: Any, statement: str, *__: Any) -> None:
        if "pg_advisory_xact_lock" in statement:
            cursor.execute("show lock_timeout")
            limits.extend(cursor.fetchone())

    monkeypatch.setattr("outboxed.storage._migrations.command.upgrade", lambda *_: None)

    await migrate(engine, "outboxed")

    assert limits == ["1min"]


async def test_a_migration_may_rewrite_a_table_for_ten_minutes_and_waits_for_a_lock_for_seconds(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: dict[str, str] = {}

    def upgrade(config: Any, _: str) -> None:
        for name in ("statement_timeout", "lock_timeout"):
            limits[name] = config.attributes["connection"].execute(sa.text(f"show {name}")).scalar_one()

    monkeypatch.setattr("outboxed.storage._migrations.command.upgrade", upgrade)

    await migrate(engine, "outboxed")

    assert limits == {"statement_timeout": "10min", "lock_timeout": "5s"}


ENV = """
from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
"""
REVISION = """
from alembic import op

revision = "{revision}"
down_revision = {before!r}


def upgrade() -> None:
    op.execute("create table of_{revision} (id int)")
"""


async def test_a_process_waits_until_each_migration_of_its_release_has_run(
    empty: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "three_revisions" / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "env.py").write_text(ENV)
    for revision, before in (("0001", None), ("0002", "0001"), ("0003", "0002")):
        (folder / "versions" / f"{revision}.py").write_text(REVISION.format(revision=revision, before=before))
    monkeypatch.syspath_prepend(tmp_path)
    problems = []

    await migrate(empty, "three_revisions")
    for revision in ("0001", "0002", "0003"):
        await altered(empty, f"update alembic_version set version_num = '{revision}'")  # noqa: S608 - our own
        problems.append(await schema_problem(empty, "three_revisions"))

    told = [f"the schema is at {old}: run `python -m three_revisions migrate`" for old in ("0001", "0002")]
    assert problems == [*told, None]


class OfTheSample(MigrationSuite):
    """Its databases are made without migrations, as the tables say."""

    metadata = sample.metadata


OTHERWISE = {
    "a column is missing": "alter table tasks drop last_error",
    "a column is too much": "alter table tasks add more text",
    "another type": "alter table tasks alter attempts type bigint",
    "no default": "alter table tasks alter attempts drop default",
    "another default": "alter table dead_letters alter status set default 'replayed'",
    "it may be null": "alter table tasks alter due_at drop not null",
    "no index": "drop index tasks_kind_due_at",
    "no unique constraint": "alter table tasks drop constraint tasks_kind_key",
}
OTHERWISE_INSIDE = {
    "an index is of other rows": """
        drop index outbox_free; create index outbox_free on outbox (id) where retry_at is not null
    """,
    "another check": """
        alter table dead_letters drop constraint dead_letters_status_check,
            add constraint dead_letters_status_check check (status in ('open', 'replayed'))
    """,
    "no check": "alter table dead_letters drop constraint dead_letters_status_check",
}
"""What Alembic doesn't compare."""
AS_IT_IS = {"as it is": ""}


@pytest.fixture
async def private(isolation: DatabaseIsolation) -> AsyncIterator[AsyncEngine]:
    async with migrated_database(isolation) as engine:
        yield engine


@pytest.fixture
async def empty(isolation: DatabaseIsolation) -> AsyncIterator[AsyncEngine]:
    async with empty_database(isolation) as engine:
        yield engine


async def altered(engine: AsyncEngine, statements: str) -> None:
    async with engine.begin() as connection:
        for statement in filter(str.strip, statements.split(";")):
            await connection.exec_driver_sql(statement)


@pytest.mark.parametrize("how", [*AS_IT_IS, *OTHERWISE])
async def test_the_suite_sees_a_migrated_table_that_is_not_as_the_code_has_it(private: AsyncEngine, how: str) -> None:
    await altered(private, {**AS_IT_IS, **OTHERWISE}[how])

    with nullcontext() if how in AS_IT_IS else pytest.raises(AssertionError):
        await OfTheSample().test_the_migrated_schema_is_that_of_the_tables(private)


@pytest.mark.parametrize("how", [*AS_IT_IS, *OTHERWISE_INSIDE])
async def test_the_suite_sees_a_condition_that_is_not_as_the_code_has_it(
    private: AsyncEngine, empty: AsyncEngine, how: str
) -> None:
    await altered(private, {**AS_IT_IS, **OTHERWISE_INSIDE}[how])

    with nullcontext() if how in AS_IT_IS else pytest.raises(AssertionError):
        await OfTheSample().test_constraints_and_indexes_are_those_of_the_tables_to_the_last_condition(private, empty)
