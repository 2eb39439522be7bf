"""Changes of the schema on tables that have rows."""

from collections.abc import AsyncIterator

import pytest
from outboxed.messages import EventIdentity
from outboxed.storage import Clock, schema
from outboxed.storage._inbox import SqlInbox
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

LETTER = """
insert into dead_letters (source, consumer_group, topic, partition, "offset", key, value, headers, reason)
values ('event', 'g', 't', 0, 7, null, %s, '[]', 'why')
"""
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
