"""Tests without `async`: a database of their own, empty again after each."""

from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest
import sqlalchemy as sa
from backing_services.postgres import (
    EmbeddedPostgres,
    IsolationError,
    PostgresServer,
    SyncDatabaseIsolation,
    django_address,
)


def migrate(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create table orders (id int primary key)")


def create(server: PostgresServer) -> SyncDatabaseIsolation:
    return SyncDatabaseIsolation.create(server, name="sync", fingerprint="1", migrate=migrate)


@pytest.fixture
def isolation(postgres_server: PostgresServer) -> Iterator[SyncDatabaseIsolation]:
    isolation = create(postgres_server)
    yield isolation
    isolation.close()


def orders(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from orders").fetchone()
    assert row is not None
    return int(row[0])


def add(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("insert into orders values (7)")


def test_what_a_test_commits_is_gone_after_it(isolation: SyncDatabaseIsolation, request: pytest.FixtureRequest) -> None:
    with isolation.of_test(request.node) as url:
        add(url)
        assert orders(url) == 1

    assert orders(isolation.url) == 0


def test_a_private_clone_is_dropped(isolation: SyncDatabaseIsolation) -> None:
    with isolation.private() as url:
        add(url)
        assert (orders(url), orders(isolation.url)) == (1, 0)

    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        orders(url)


def test_a_private_clone_is_dropped_after_an_error_too(isolation: SyncDatabaseIsolation) -> None:
    with suppress(LookupError), isolation.private() as url:
        raise LookupError

    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        orders(url)


def test_a_connection_that_is_not_given_back_fails_the_test_at_fault(isolation: SyncDatabaseIsolation) -> None:
    engine = sa.create_engine(isolation.url.replace("postgresql://", "postgresql+psycopg://"))
    isolation.watch(engine)
    connection = engine.connect()
    connection.execute(sa.text("insert into orders values (1)"))

    with pytest.raises(IsolationError, match="not given back"):
        isolation.clean()

    connection.invalidate()
    connection.close()
    engine.dispose()


async def test_within_an_event_loop_it_says_that_it_is_the_wrong_one(postgres_server: PostgresServer) -> None:
    with pytest.raises(RuntimeError, match="running event loop"):
        create(postgres_server)


@pytest.mark.parametrize("port", [None, 0])
def test_django_gets_the_address_of_the_server(port: int | None) -> None:
    with EmbeddedPostgres(port=port) as server:
        address = django_address(server)

        reached = " ".join(f"{name.lower()}={value}" for name, value in address.items() if value)
        with psycopg.connect(f"dbname=postgres {reached}") as connection:
            assert connection.execute("select 1").fetchone() == (1,)
