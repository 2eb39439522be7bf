import asyncio
import os
from collections.abc import AsyncIterator

import asyncpg
import pytest
from backing_services._test_systems import NotATestSystemError
from backing_services.postgres import (
    DatabaseIsolation,
    EmbeddedPostgres,
    IsolationError,
    PostgresServer,
    connected,
    rolled_back,
)
from backing_services.postgres import isolation as isolation_module
from backing_services.waiting import eventually
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

# Each kind of foreign key that makes an order of deletion hard or impossible.
SCHEMA = """
create table alembic_version (version text); insert into alembic_version values ('0001');
create table products (id int primary key); insert into products values (1);
create table customers (id int primary key, favourite int);
create table orders (id serial primary key, customer int references customers, follows int references orders);
alter table customers add foreign key (favourite) references orders on delete restrict;
create table lines ("order" int references orders on delete cascade, product int references products);
create schema "Audit"; create table "Audit"."Log" ("order" int references orders on delete set null);
create table visits (year int) partition by range (year);
create table visits_of_2026 partition of visits for values from (2026) to (2027);
"""
ROWS = """
insert into customers values (1, null); insert into orders values (1, 1, null), (2, 1, 1);
update customers set favourite = 2; insert into lines values (1, 1); insert into "Audit"."Log" values (1);
insert into products values (2); insert into visits values (2026);
"""
WAITING = """
select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')
"""
CUT_ALL_OTHERS = """
select pg_terminate_backend(pid, 10000) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""
TABLES = ("customers", "orders", "lines", '"Audit"."Log"', "visits")


async def migrate(url: str) -> None:
    async with connected(url) as connection:
        await connection.execute(SCHEMA)


async def create(server: PostgresServer, *keep: str) -> DatabaseIsolation:
    return await DatabaseIsolation.create(server, name="shop", fingerprint="1", migrate=migrate, keep=keep)


@pytest.fixture
async def isolation(postgres_server: PostgresServer) -> AsyncIterator[DatabaseIsolation]:
    isolation = await create(postgres_server, "products")
    yield isolation
    await isolation.close()


@pytest.fixture
async def engine(isolation: DatabaseIsolation) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(isolation.url, hide_parameters=True)
    yield engine
    await engine.dispose()


async def count(url: str, table: str) -> int:
    async with connected(url) as connection:
        return int(await connection.fetchval(f"select count(*) from {table}"))  # noqa: S608 - ours


def name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


async def test_all_rows_are_deleted_whatever_their_foreign_keys(isolation: DatabaseIsolation) -> None:
    async with connected(isolation.url) as connection:
        await connection.execute(ROWS)

    await isolation.clean()

    assert [await count(isolation.url, table) for table in TABLES] == [0] * len(TABLES)


async def test_kept_tables_and_the_version_of_the_schema_stay(isolation: DatabaseIsolation) -> None:
    async with connected(isolation.url) as connection:
        await connection.execute(ROWS)

    await isolation.clean()

    assert await count(isolation.url, "products") == 2
    assert await count(isolation.url, "alembic_version") == 1


async def test_a_table_is_also_kept_by_its_name_with_its_schema(postgres_server: PostgresServer) -> None:
    isolation = await create(postgres_server, "Audit.Log", "public.customers")
    async with connected(isolation.url) as connection:
        await connection.execute('insert into "Audit"."Log" values (null); insert into customers values (1, null)')
        await connection.execute("insert into visits values (2026)")

    await isolation.clean()

    assert [await count(isolation.url, table) for table in ('"Audit"."Log"', "customers", "visits")] == [1, 1, 0]
    await isolation.close()


async def test_a_test_that_cut_all_connections_harms_no_other(isolation: DatabaseIsolation) -> None:
    await isolation.clean()
    async with connected(isolation.url) as connection:
        await connection.execute(CUT_ALL_OTHERS)
        await connection.execute("insert into visits values (2026)")

    await isolation.clean()

    assert await count(isolation.url, "visits") == 0


async def test_a_private_database_is_fresh_and_gone_afterwards(
    isolation: DatabaseIsolation, postgres_server: PostgresServer
) -> None:
    async with connected(isolation.url) as connection:
        await connection.execute(ROWS)

    async with isolation.private() as url:
        assert await count(url, "orders") == 0
        async with connected(url) as connection:
            await connection.execute("drop table lines")

    assert not await postgres_server.database_exists(name_of(url))
    assert await count(isolation.url, "lines") == 1


async def test_a_private_database_of_a_test_that_fails_is_gone_afterwards(
    isolation: DatabaseIsolation, postgres_server: PostgresServer
) -> None:
    with pytest.raises(LookupError):
        async with isolation.private() as url:
            raise LookupError

    assert not await postgres_server.database_exists(name_of(url))


async def test_a_leaked_connection_fails_the_test_that_leaked_it_and_only_that_one(
    isolation: DatabaseIsolation, engine: AsyncEngine
) -> None:
    isolation.watch(engine)
    leaked = await engine.connect()
    await leaked.execute(text("insert into customers values (1, null)"))

    with pytest.raises(IsolationError, match="1 database connection"):
        await isolation.clean()

    async with connected(isolation.url) as next_test:
        await next_test.execute("set lock_timeout = '5s'")
        await next_test.execute("insert into customers values (1, null)")  # the same key, which nobody holds any more
    await isolation.clean()
    assert await count(isolation.url, "customers") == 0
    await leaked.invalidate()
    await leaked.close()


async def test_a_connection_that_comes_back_to_one_engine_hides_no_leak_of_another(
    isolation: DatabaseIsolation, engine: AsyncEngine
) -> None:
    another = create_async_engine(engine.url)
    isolation.watch(engine)
    isolation.watch(another)
    late = await engine.connect()
    with pytest.raises(IsolationError, match="1 database connection"):
        await isolation.clean()

    await late.close()
    leaked = await another.connect()
    with pytest.raises(IsolationError, match="1 database connection"):
        await isolation.clean()

    await leaked.close()
    await isolation.clean()
    await another.dispose()


async def test_connections_that_were_given_back_are_no_leak(isolation: DatabaseIsolation, engine: AsyncEngine) -> None:
    isolation.watch(engine)
    async with engine.begin() as connection:
        await connection.execute(text("insert into customers values (1, null)"))

    await isolation.clean()

    assert await count(isolation.url, "customers") == 0


async def test_an_open_transaction_fails_the_test_that_left_it_and_is_ended(isolation: DatabaseIsolation) -> None:
    async with connected(isolation.url) as connection:
        await connection.execute("insert into customers values (1, null)")
        await connection.execute("begin; update customers set favourite = null")

        with pytest.raises(IsolationError, match="a transaction was left open"):
            await isolation.clean()

    assert await count(isolation.url, "customers") == 0


async def test_a_transaction_that_is_about_to_end_is_waited_for(
    isolation: DatabaseIsolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation_module, "LOCK_LIMIT", "60s")  # as long as a busy machine needs
    async with connected(isolation.url) as connection, connected(isolation.url) as other:
        await connection.execute("insert into customers values (1, null)")
        await connection.execute("begin; update customers set favourite = null")
        cleaning = asyncio.create_task(isolation.clean())

        async def waits() -> bool:
            return bool(await other.fetchval(WAITING))

        await eventually(waits)
        await connection.execute("commit")
        await cleaning

    assert await count(isolation.url, "customers") == 0


async def test_a_transaction_has_a_second_to_end(isolation: DatabaseIsolation) -> None:
    """A consumer that is just committing is none that was left open."""
    async with connected(isolation.url) as connection:
        await connection.execute(f"set lock_timeout = '{isolation_module.LOCK_LIMIT}'")
        limit = await connection.fetchval("select setting::int from pg_settings where name = 'lock_timeout'")

    assert 1000 <= limit <= 10_000


async def test_two_runs_on_one_server_have_databases_of_their_own(
    isolation: DatabaseIsolation, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    other = await create(postgres_server)

    assert other.url != isolation.url
    assert await count(isolation.url, "customers") == 0, "it is there still"
    await other.close()


# pytest-asyncio#38, pytest-asyncio#922: "attached to a different loop", which names no setting that is missing
async def test_on_another_loop_it_says_which_settings_are_missing(isolation: DatabaseIsolation) -> None:
    async def url() -> str:
        return isolation.url

    for elsewhere in (url, isolation.clean):
        with pytest.raises(IsolationError, match="asyncio_default_test_loop_scope = session"):
            await asyncio.to_thread(asyncio.run, elsewhere())

    assert await asyncio.to_thread(lambda: isolation.url) == isolation.url


async def test_a_database_that_is_none_for_tests_is_never_touched(postgres_server: PostgresServer) -> None:
    await postgres_server.create_database("precious")
    async with connected(postgres_server.url("precious")) as connection:
        await connection.execute(SCHEMA + ROWS)
    isolation = DatabaseIsolation(postgres_server, template="shop", database="precious", keep=())

    with pytest.raises(NotATestSystemError):
        await isolation.clean()

    assert await count(postgres_server.url("precious"), "orders") == 2


async def test_closing_drops_the_database_of_this_worker_and_keeps_the_template() -> None:
    with EmbeddedPostgres() as server:
        isolation = await create(server)
        await isolation.close()

        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await count(isolation.url, "orders")
        assert await server.database_exists("shop_test_template_1")


@pytest.fixture
async def database_url(isolation: DatabaseIsolation, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    async with isolation.of_test(request.node) as url:
        yield url
    if url == isolation.url:
        assert await count(url, "customers") == 0


async def test_a_test_gets_the_workers_database_which_is_empty_again_afterwards(
    database_url: str, isolation: DatabaseIsolation
) -> None:
    async with connected(database_url) as connection:
        await connection.execute("insert into customers values (1, null)")

    assert database_url == isolation.url


@pytest.mark.private_database
async def test_a_test_that_changes_the_schema_gets_a_database_of_its_own(
    database_url: str, isolation: DatabaseIsolation
) -> None:
    async with connected(database_url) as connection:
        await connection.execute("drop table lines")

    assert await count(isolation.url, "lines") == 0


async def test_what_a_rolled_back_session_commits_is_undone(isolation: DatabaseIsolation, engine: AsyncEngine) -> None:
    async with rolled_back(engine) as session:
        await session.execute(text("insert into customers values (1, null)"))
        await session.commit()
        await session.execute(text("insert into customers values (2, null)"))
        await session.rollback()
        seen = (await session.execute(text("select count(*) from customers"))).scalar_one()

    assert seen == 1
    assert await count(isolation.url, "customers") == 0


async def test_a_rolled_back_session_gives_its_connection_back_when_the_test_fails(
    isolation: DatabaseIsolation, engine: AsyncEngine
) -> None:
    isolation.watch(engine)

    with pytest.raises(DBAPIError):
        async with rolled_back(engine) as session:
            await session.execute(text("insert into nowhere values (1)"))

    await isolation.clean()
