"""Engines and sessions as projects have them: a schema for each tenant, several engines, names that look like SQL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from backing_services.waiting import eventually
from outboxed import DeadLetters, Inbox, Outbox, Tasks
from outboxed.errors import ConfigurationError
from outboxed.joining import _running as running
from outboxed.relay import _floor as floor
from outboxed.relay._rows import Rows
from outboxed.tasks import Task
from outboxed.testing.topics import Topics
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

TENANT = "tenant"


class Project:
    """All that a team may have of outboxed, in one MetaData."""

    def __init__(self, table: str | None = None, dead_letters_table: str | None = None) -> None:
        self.metadata = sa.MetaData()
        self.inbox = Inbox(metadata=self.metadata)
        self.outbox = Outbox(
            topic="accounts", metadata=self.metadata, table=table, dead_letters_table=dead_letters_table
        )
        self.tasks = Tasks(metadata=self.metadata, dead_letters_table=dead_letters_table)
        self.letters = DeadLetters(outbox=self.outbox, tasks=self.tasks, table=dead_letters_table)
        self.called: list[str] = []
        self.tasks.call("charge")(self.charge)

    async def charge(self, task: Task) -> None:
        """The call to the outside."""
        self.called.append(task.key)


async def created(engine: AsyncEngine, metadata: sa.MetaData) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)


@pytest.fixture
async def of_tenant(engine: AsyncEngine) -> AsyncEngine:
    """An engine on which the tables without a schema are in that of a tenant."""
    async with engine.begin() as connection:
        await connection.execute(sa.text(f"create schema {TENANT}"))
    return engine.execution_options(schema_translate_map={None: TENANT})


async def sent_and_refused(project: Project, engine: AsyncEngine, topics: Topics) -> None:
    """A row is sent, another one refused, set aside, and replayed to its place."""
    async with AsyncSession(engine) as session, session.begin():
        await project.outbox.publish(session, {"a": 1})
        await project.outbox.publish(session, {"a": 2}, topic="no topic")
    queue = project.letters.queue(engine)

    async def is_refused() -> bool:
        return bool(await queue.list())

    async with project.outbox.relay(engine, topics.kafka):
        await topics.read("accounts", 1)
        await eventually(is_refused)
    [letter] = await queue.list()
    await queue.replay(letter.id)

    async with engine.connect() as connection:
        assert (await connection.execute(sa.select(project.outbox.table.c.topic))).scalars().all() == ["no topic"]


NAMES: dict[str, dict[str, str]] = {
    "plain": {},
    "a parameter": {"table": "out :box", "dead_letters_table": "dead :letters"},
    "a format": {"table": "out%sbox", "dead_letters_table": "dead%(letters)s"},
    "an escape": {"table": "out\\:box\\", "dead_letters_table": "dead\\letters"},
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
async def test_a_name_may_look_like_something_else(
    engine: AsyncEngine, topics: Topics, monkeypatch: pytest.MonkeyPatch, names: dict[str, str]
) -> None:
    monkeypatch.setattr(floor, "EVERY_ROWS", 0)
    project = Project(**names)
    await created(engine, project.metadata)

    await sent_and_refused(project, engine, topics)


async def test_a_translated_schema_is_where_everything_is(
    of_tenant: AsyncEngine, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floor, "EVERY_ROWS", 0)
    project = Project()
    await created(of_tenant, project.metadata)

    await sent_and_refused(project, of_tenant, topics)
    async with AsyncSession(of_tenant) as session, session.begin():
        assert [await project.inbox.claim(session, "a", name="send") for _ in range(2)] == [True, False]
        await project.tasks.schedule(session, "charge", key=1)
    assert await project.tasks.run_due(of_tenant) == 1
    assert project.called == ["1"]


Use = Callable[[Project, AsyncSession], Awaitable[Any]]
USES: dict[str, Use] = {
    "publish": lambda project, session: project.outbox.publish(session, {"a": 1}),
    "claim": lambda project, session: project.inbox.claim(session, "a", name="send"),
    "schedule": lambda project, session: project.tasks.schedule(session, "charge", key=1),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_a_session_of_several_engines_finds_that_of_the_table(engine: AsyncEngine, use: Use) -> None:
    project = Project()
    await created(engine, project.metadata)
    sessions = async_sessionmaker(binds=dict.fromkeys(project.metadata.tables.values(), engine))

    async with sessions.begin() as session:
        await use(project, session)

    async with engine.connect() as connection:
        tables = (project.outbox.table, project.inbox.table, project.tasks.table)
        numbers = [len((await connection.execute(sa.select(table))).all()) for table in tables]
    assert sorted(numbers) == [0, 0, 1]


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_a_session_that_commits_each_statement_is_refused(url: str, use: Use, driver: str) -> None:
    """What is published would be sent though its transaction rolls back, and what fails would count as handled."""
    of_driver = sa.make_url(url).set(drivername=f"postgresql+{driver}")
    engine = create_async_engine(of_driver, isolation_level="AUTOCOMMIT")
    project = Project()
    await created(engine, project.metadata)

    async with AsyncSession(engine) as session:
        with pytest.raises(ConfigurationError, match="commits each statement by itself"):
            await use(project, session)
    await engine.dispose()


SyncUse = Callable[[Project, Session | sa.Connection], Any]
SYNC_USES: dict[str, SyncUse] = {
    "publish": lambda project, session: project.outbox.publish_sync(session, {"a": 1}),
    "claim": lambda project, session: project.inbox.claim_sync(session, "a", name="send"),
    "schedule": lambda project, session: project.tasks.schedule_sync(session, "charge", key=1),
}


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("use", SYNC_USES.values(), ids=SYNC_USES)
def test_a_sync_session_that_commits_each_statement_is_refused(url: str, use: SyncUse, driver: str) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername=f"postgresql+{driver}"))
    project = Project()
    project.metadata.create_all(engine)
    committing = engine.execution_options(isolation_level="AUTOCOMMIT")

    with Session(committing) as session, pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
        use(project, session)
    with committing.connect() as connection, pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
        use(project, connection)
    with Session(engine) as session, session.begin():
        use(project, session)
    engine.dispose()


@pytest.fixture
async def of_another_role(engine: AsyncEngine, url: str) -> AsyncIterator[AsyncEngine]:
    """An engine of a role that may use the tables, and nothing else."""
    role = f"role_{uuid4().hex}"
    async with engine.begin() as connection:
        await connection.execute(sa.text(f"create role {role} login password 'secret'"))
        await connection.execute(sa.text(f"grant usage on schema public to {role}"))
        defaults = f"alter default privileges grant select, insert, update, delete on tables to {role}"
        await connection.execute(sa.text(defaults))
    own = create_async_engine(sa.make_url(url).set(username=role, password="secret"))
    yield own
    await own.dispose()
    async with engine.begin() as connection:
        await connection.execute(sa.text(f"drop owned by {role}"))
        await connection.execute(sa.text(f"drop role {role}"))


async def test_rights_on_the_tables_are_enough(
    engine: AsyncEngine, of_another_role: AsyncEngine, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floor, "EVERY_ROWS", 0)
    project = Project()
    await created(engine, project.metadata)

    await sent_and_refused(project, of_another_role, topics)
    async with AsyncSession(of_another_role) as session, session.begin():
        for use in USES.values():
            await use(project, session)
    assert await project.tasks.run_due(of_another_role) == 1


async def test_whoever_has_rights_on_the_tables_alone_keeps_the_place_where_reading_begins(
    engine: AsyncEngine, of_another_role: AsyncEngine
) -> None:
    """Of the sequence such a role is told an error up to PostgreSQL 17, and nothing from 18 on."""
    project = Project()
    await created(engine, project.metadata)
    risen = floor.Floor(project.outbox.table)
    risen.id = 7

    async with of_another_role.connect() as connection:
        _, _, last = await Rows(project.outbox.table).lock(connection)
    risen.heed(last)

    assert risen.id == 7


async def test_an_engine_that_was_made_for_a_url_keeps_no_connection_after_its_use(url: str) -> None:
    async with running.asynchronous(url) as made:
        async with made.connect():
            pass
        pool: Any = made.pool
        kept = pool.checkedin()

    assert (kept, pool.checkedin()) == (1, 0)


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://shop:s%40cret@db.invalid/shop",
        sa.make_url("postgresql+psycopg2://shop:s%40cret@db.invalid/shop"),
        sa.create_engine("postgresql+psycopg2://shop:s%40cret@db.invalid/shop"),
    ],
)
async def test_an_engine_of_the_relays_own_logs_in_as_the_projects(given: Any) -> None:
    async with running.asynchronous(given) as own:
        assert (own.url.username, own.url.password, own.url.host) == ("shop", "s@cret", "db.invalid")
