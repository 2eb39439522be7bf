"""A statement that is compiled once: its rows, its transaction and its errors are those of SQLAlchemy."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from backing_services.postgres import DatabaseIsolation
from outboxed.storage import Statement, UnnestedRows, column_types, create_engine, single_statements
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, IntegrityError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncEngine

from .conftest import statements_of

things = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("price", sa.Numeric(20, 2)),
    sa.Column("parts", JSONB),
    sa.Column("made_at", sa.DateTime(timezone=True)),
    sa.Column("lasts", sa.Interval),
    sa.Column("raw", sa.LargeBinary),
)
NEW = UnnestedRows(column_types(things, things.c.keys()), alias="new")
INSERT = Statement(sa.insert(things).from_select(NEW.names, sa.select(*NEW.columns)).returning(things.c.id))
SELECT = Statement(sa.select(things).where(things.c.id == sa.bindparam("wanted")))
DIVIDE = Statement(sa.select(sa.literal(1) / sa.bindparam("by", type_=sa.Integer)))
THING: dict[str, Any] = {
    "id": UUID(int=7),
    "price": Decimal("19.90"),
    "parts": [{"name": "wheel", "of": None}],
    "made_at": datetime(2026, 1, 15, 12, 0, tzinfo=UTC),
    "lasts": timedelta(days=3, microseconds=1),
    "raw": b"\x00\xff",
}
NOTHING = dict.fromkeys(THING) | {"id": UUID(int=8)}


@pytest.fixture
async def engine(isolation: DatabaseIsolation) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(isolation.url, application_name="tests", pool_size=1)
    async with engine.begin() as connection:
        await connection.run_sync(things.create)
    yield engine
    async with engine.begin() as connection:
        await connection.run_sync(things.drop)
    await engine.dispose()


@pytest.mark.parametrize("thing", [THING, NOTHING], ids=["values", "nulls"])
async def test_values_come_back_as_sqlalchemy_gives_them(engine: AsyncEngine, thing: dict[str, Any]) -> None:
    async with engine.connect() as connection:
        assert await INSERT.values(connection, NEW.values([thing])) == [thing["id"]]
        found = await SELECT.mappings(connection, {"wanted": thing["id"]})
        told = (await connection.execute(SELECT.sql, {"wanted": thing["id"]})).mappings().all()

    assert found == [thing]
    assert [dict(row) for row in told] == [thing]


async def test_a_row_that_is_not_there_is_no_row(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert await SELECT.rows(connection, {"wanted": UUID(int=1)}) == []


async def test_a_value_that_is_not_given_is_no_null(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(KeyError, match="wanted"):
            await SELECT.rows(connection, {"want": UUID(int=1)})


async def test_it_is_in_the_transaction_of_its_connection(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await INSERT.rows(connection, NEW.values([THING]))
        await connection.rollback()
        await INSERT.rows(connection, NEW.values([NOTHING]))
        await connection.commit()

    async with engine.connect() as connection:
        assert (await connection.execute(sa.select(things.c.id))).scalars().all() == [NOTHING["id"]]


async def test_what_was_not_committed_is_rolled_back_when_the_connection_goes_back(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await INSERT.rows(connection, NEW.values([THING]))

    async with engine.connect() as connection:
        assert await SELECT.rows(connection, {"wanted": THING["id"]}) == []


async def test_a_single_statement_is_committed_by_itself(engine: AsyncEngine) -> None:
    async with single_statements(engine).connect() as connection:
        await INSERT.rows(connection, NEW.values([THING]))

    async with engine.connect() as connection:
        assert len(await SELECT.rows(connection, {"wanted": THING["id"]})) == 1


async def test_its_errors_are_those_of_sqlalchemy_and_repeat_no_value(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError, match="a value was refused") as refused:
            await DIVIDE.rows(connection, {"by": 0})
        await connection.rollback()
        await INSERT.rows(connection, NEW.values([THING]))
        with pytest.raises(IntegrityError) as taken:
            await INSERT.rows(connection, NEW.values([THING]))

    assert not refused.value.connection_invalidated
    assert str(THING["id"]) not in f"{taken.value} {taken.value.orig!r} {taken.value.__cause__!r}"


async def test_after_an_error_the_transaction_takes_nothing_until_its_end(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError):
            await DIVIDE.rows(connection, {"by": 0})
        with pytest.raises(DBAPIError, match="transaction is aborted"):
            await DIVIDE.rows(connection, {"by": 1})
        await connection.rollback()

        assert await DIVIDE.values(connection, {"by": 1}) == [1]


async def test_a_session_that_the_server_ended_is_given_up(engine: AsyncEngine) -> None:
    end = Statement(sa.select(sa.func.pg_terminate_backend(sa.func.pg_backend_pid())))

    async with engine.connect() as connection:
        with pytest.raises(DBAPIError) as ended:
            await end.rows(connection)
        assert ended.value.connection_invalidated
        with pytest.raises(PendingRollbackError):
            await DIVIDE.rows(connection, {"by": 1})
        await connection.rollback()
        assert await DIVIDE.values(connection, {"by": 1}) == [1]  # on a new session


async def test_the_session_of_a_statement_that_is_cancelled_is_given_up(engine: AsyncEngine) -> None:
    sleep = Statement(sa.select(sa.func.pg_sleep(sa.bindparam("seconds", type_=sa.Float))))

    async with engine.connect() as connection:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await sleep.rows(connection, {"seconds": 60.0})
        assert connection.invalidated

    async with engine.connect() as connection:
        assert await DIVIDE.values(connection, {"by": 1}) == [1]


async def test_whoever_listens_to_sqlalchemys_statements_hears_it(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with statements_of(engine) as heard:
            assert await DIVIDE.values(connection, {"by": 1}) == [1]

    assert heard == [DIVIDE.text]
