"""Connections: their time-outs, and errors that don't repeat customers' data."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import sqlalchemy as sa
from backing_services.postgres import DatabaseIsolation
from outboxed._compat.asyncpg import INTROSPECT
from outboxed.messages._storable import unstorable
from outboxed.storage import POOL_SECONDS, create_engine, is_transient
from outboxed.storage import _database as database
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from ..sample import accounts
from .conftest import Transactions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("idle_in_transaction_session_timeout", "10s"),
        ("lock_timeout", "5s"),
        ("statement_timeout", "15s"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_user_timeout", "15000"),  # ms: PostgreSQL shows what the system says of the socket
        ("timezone", "UTC"),
    ],
)
async def test_every_new_connection_has_its_time_outs(engine: AsyncEngine, name: str, value: str) -> None:
    async with engine.connect() as connection:
        shown = (await connection.execute(sa.text(f"show {name}"))).scalar_one()
        local = (await connection.execute(sa.text("select inet_server_addr() is null"))).scalar_one()
        by = sa.text("select source from pg_settings where name = :name")
        source = (await connection.execute(by, {"name": name if name != "timezone" else "TimeZone"})).scalar_one()

    # over a Unix socket there is no TCP to set
    expected = "0" if local and name.startswith("tcp_") else value
    assert shown == expected
    assert source == "client", "else it is what this server happens to have"
    assert len(database.SESSION_SETTINGS) == 6, "a new one has its line here"


@pytest.fixture
async def impatient(isolation: DatabaseIsolation, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncEngine]:
    monkeypatch.setitem(database.SESSION_SETTINGS, "idle_in_transaction_session_timeout", "100ms")
    monkeypatch.setitem(database.SESSION_SETTINGS, "lock_timeout", "100ms")
    monkeypatch.setitem(database.SESSION_SETTINGS, "statement_timeout", "500ms")
    engine = create_engine(isolation.url, application_name="tests")
    yield engine
    await engine.dispose()


async def test_a_transaction_that_idles_too_long_is_ended_and_gives_its_locks_back(
    impatient: AsyncEngine, transactions: Transactions
) -> None:
    frozen = await impatient.connect()
    await frozen.execute(sa.text("lock table accounts"))
    try:
        async with transactions.engine.begin() as successor, asyncio.timeout(30):
            await successor.execute(sa.text("lock table accounts"))

        # a client that has not yet read of its end says only that it is busy, and SQLAlchemy does not wrap that
        with pytest.raises((sa.exc.DBAPIError, asyncpg.InternalClientError)) as ended:
            await frozen.execute(sa.text("select 1"))
    finally:
        await frozen.invalidate()
        await frozen.close()

    assert is_transient(ended.value)


async def test_a_connection_is_waited_for_as_long_as_it_is_told(isolation: DatabaseIsolation) -> None:
    engine = create_engine(isolation.url, application_name="tests", pool_size=1, pool_seconds=0.05)
    async with engine.connect(), asyncio.timeout(10):
        with pytest.raises(sa.exc.TimeoutError, match=r"0\.05"):
            async with engine.connect():
                pass
    await engine.dispose()


async def test_a_client_ends_a_statement_that_the_server_does_not(isolation: DatabaseIsolation) -> None:
    """A frozen server keeps none of its own limits."""
    engine = create_engine(isolation.url, application_name="tests", command_timeout=0.1)
    async with engine.connect() as connection:
        with pytest.raises(TimeoutError):
            await connection.execute(sa.text("select pg_sleep(5)"))
    await engine.dispose()


async def _fails(engine: AsyncEngine, statement: Any) -> sa.exc.DBAPIError:
    async def execute() -> None:
        async with engine.begin() as connection:
            await connection.execute(statement)

    with pytest.raises(sa.exc.DBAPIError) as failed:
        await execute()
    return failed.value


async def test_a_statement_has_an_end_and_may_be_tried_again(impatient: AsyncEngine) -> None:
    assert is_transient(await _fails(impatient, sa.text("select pg_sleep(10)")))


async def test_waiting_for_a_lock_has_an_end_and_may_be_tried_again(
    impatient: AsyncEngine, transactions: Transactions
) -> None:
    async with transactions.engine.begin() as holder:
        await holder.execute(sa.text("lock table accounts"))

        assert is_transient(await _fails(impatient, sa.text("lock table accounts")))


async def test_a_new_connection_is_held_to_the_time_outs_that_its_engine_asks_for(
    isolation: DatabaseIsolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(isolation.url, application_name="tests")
    monkeypatch.setitem(database.SESSION_SETTINGS, "statement_timeout", "40ms")

    async with engine.connect() as connection:
        shown = (await connection.execute(sa.text("show statement_timeout"))).scalar_one()
    await engine.dispose()

    assert shown == "15s"


CANARY = "canary@example.com"


async def test_errors_of_the_database_do_not_repeat_customers_data(transactions: Transactions) -> None:
    account_id = uuid4()
    statements = [
        sa.insert(accounts).values([{"id": account_id, "version": 1, "balance": 1}] * 2),
        sa.select(sa.cast(sa.literal(CANARY), sa.Integer)),
        sa.select(sa.literal(CANARY, sa.Integer)),
        sa.text("insert into accounts (id, version, balance) values (gen_random_uuid(), null, 4711)"),
    ]

    for statement in statements:
        error = await _fails(transactions.engine, statement)

        told = "".join(traceback.format_exception(error)) + repr(error) + repr(error.orig)
        told = told.replace(str(statement), "")  # our own text, for a person
        assert not [secret for secret in (CANARY, str(account_id), account_id.hex, "4711") if secret in told]


def test_the_server_gives_a_statement_up_before_the_client_does() -> None:
    """Only so it ends there, too, and its connection stays good."""
    seconds = {name: int(database.SESSION_SETTINGS[name].removesuffix("s")) for name in database.TIMEOUTS}

    assert seconds["lock_timeout"] < seconds["statement_timeout"] < database.COMMAND_SECONDS
    assert seconds["lock_timeout"] <= POOL_SECONDS, "whoever waits for a connection waits for one that waits for a lock"


@pytest.mark.parametrize("value", ["one", 2**70, ["x"]])
async def test_an_argument_that_the_client_cannot_encode_is_the_items_fault(
    transactions: Transactions, value: object
) -> None:
    statement = sa.select(sa.cast(sa.literal(value, sa.Integer), sa.Integer))

    assert not is_transient(await _fails(transactions.engine, statement))


async def test_a_cut_connection_is_transient(transactions: Transactions) -> None:
    error = await _fails(transactions.engine, sa.text("select pg_terminate_backend(pg_backend_pid())"))

    assert is_transient(error)


SESSION = sa.text("select pg_backend_pid()")


# A fail-over leaves the pool with sessions of a server that takes no writes any more.
@pytest.mark.parametrize(
    ("refused", "all_are_given_up"),
    [
        ("delete from accounts", True),
        ("execute a_statement_of_another_session", False),
    ],
    ids=["a replica", "a pooler"],
)
async def test_a_session_whose_errors_would_only_repeat_is_given_up(
    isolation: DatabaseIsolation, refused: str, all_are_given_up: bool
) -> None:
    engine = create_engine(isolation.url, application_name="tests", pool_size=2)
    before: set[int] = set()
    async with engine.connect() as one, engine.connect() as another:
        other = (await another.execute(SESSION)).scalar_one()
        before = {other, (await one.execute(SESSION)).scalar_one()}
        await one.execute(sa.text("set transaction read only"))
        with pytest.raises(sa.exc.DBAPIError) as error:
            await one.execute(sa.text(refused))

    async with engine.connect() as one, engine.connect() as another:
        after = {(await each.execute(SESSION)).scalar_one() for each in (one, another)}
    await engine.dispose()

    assert is_transient(error.value)
    assert after & before == (set() if all_are_given_up else {other})


async def test_a_connection_that_is_cut_while_it_is_being_prepared_is_transient(
    isolation: DatabaseIsolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = asyncpg.connect

    async def connect_and_lose(*args: Any, **options: Any) -> Any:
        connection = await connect(*args, **options)
        connection.terminate()
        return connection

    monkeypatch.setattr(asyncpg, "connect", connect_and_lose)
    engine = create_engine(isolation.url, application_name="tests")

    with pytest.raises(asyncpg.InterfaceError) as cut:
        async with engine.connect():
            pass
    await engine.dispose()

    assert is_transient(cut.value)


async def test_what_one_connection_learnt_of_array_types_the_next_one_knows(
    isolation: DatabaseIsolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    introspect = getattr(asyncpg.Connection, INTROSPECT)

    async def counted(connection: Any, typeoids: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - asyncpg's own
        asked.append(1)
        return await introspect(connection, typeoids, timeout)

    monkeypatch.setattr(asyncpg.Connection, INTROSPECT, counted)
    engine = create_engine(isolation.url, application_name="tests")
    array = sa.select(sa.literal([1, 2], sa.ARRAY(sa.BigInteger)))

    async with engine.connect() as one, engine.connect() as another:
        answers = [(await connection.execute(array)).scalar_one() for connection in (one, another)]
    await engine.dispose()

    assert (answers, len(asked)) == ([[1, 2]] * 2, 1)


TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "text": sa.Text(),
    "jsonb": JSONB(),
    "bigint": sa.BigInteger(),
    "numeric": sa.Numeric(),
    "timestamptz": sa.DateTime(timezone=True),
}
MICROSECOND = timedelta(microseconds=1)
FIRST = datetime.min.replace(tzinfo=UTC) + MICROSECOND
LAST = datetime.max.replace(tzinfo=UTC) - MICROSECOND


@pytest.mark.parametrize(
    ("kind", "held", "not_held"),
    [
        ("text", "\x01", "\0"),
        ("text", "\U0001f600", "\ud800"),
        ("jsonb", {"a": ["\x01"]}, {"a": ["\0"]}),
        ("jsonb", {"\x01": 1}, {"\0": 1}),
        ("jsonb", [1.5], [float("inf")]),
        ("bigint", 2**63 - 1, 2**63),
        ("bigint", -(2**63), -(2**63) - 1),
        ("numeric", Decimal("1e131071"), Decimal("1e131072")),
        ("numeric", Decimal("1e-16383"), Decimal("1e-16384")),
        ("timestamptz", FIRST, datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
        # asyncpg takes the first and the last instant for infinity, which comes back without a zone
        ("timestamptz", FIRST, FIRST - MICROSECOND),
        ("timestamptz", LAST, LAST + MICROSECOND),
    ],
)
async def test_what_is_called_storable_is_what_postgresql_stores(
    engine: AsyncEngine, kind: str, held: Any, not_held: Any
) -> None:
    async def comes_back(value: Any) -> bool:
        async with engine.connect() as connection:
            try:
                query = sa.select(sa.cast(sa.literal(value, TYPES[kind]), TYPES[kind]))
                return bool((await connection.execute(query)).scalar_one() == value)
            except (sa.exc.DBAPIError, OverflowError):
                return False

    assert unstorable(held) is None
    assert await comes_back(held)
    assert unstorable(not_held)
    assert not await comes_back(not_held)
