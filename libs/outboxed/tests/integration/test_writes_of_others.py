"""A unit of work on a connection on which others do something, too: one transaction with it, or what they ask for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from backing_services.postgres import DatabaseIsolation
from outboxed.ports import NewTask
from outboxed.storage import ConcurrentInsertError, SqlTransactions, create_engine, tables
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ..sample import Account, AccountCredited, SqlAccounts, accounts
from .conftest import Transactions, somebody_waits


@pytest.fixture
async def engine(isolation: DatabaseIsolation) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(isolation.url, application_name="tests", pool_size=1)
    yield engine
    await engine.dispose()


async def place(transactions: SqlTransactions[Any], account_id: UUID | None = None) -> None:
    account = Account(account_id or uuid4())
    async with transactions() as uow:
        uow.accounts.add(account)
        uow.events.append(AccountCredited(account_id=account.id), sequence=1)


@asynccontextmanager
async def another(transactions: Transactions) -> AsyncIterator[AsyncConnection]:
    """A session of somebody else's, whose one transaction is committed at the end."""
    url = transactions.engine.url.render_as_string(hide_password=False)
    engine = create_engine(url, application_name="another", pool_size=1)
    async with engine.begin() as connection:
        yield connection
    await engine.dispose()


async def written(transactions: Transactions) -> tuple[int, int]:
    """What others see: accounts, and events."""
    async with another(transactions) as connection:
        counts = [
            sa.select(sa.func.count()).select_from(table).scalar_subquery() for table in (accounts, tables.outbox)
        ]
        seen, events = (await connection.execute(sa.select(*counts))).one()
        return seen, events


# --- others begin a transaction of which SQLAlchemy doesn't know ---


def executes(adapter: Any, *_: object) -> None:
    cursor = adapter.cursor()
    cursor.execute("select set_config('app.tenant', 'one', false)")
    cursor.close()


@pytest.mark.parametrize("event", ["connect", "checkout"])
async def test_a_listener_of_the_pool_may_execute_something(transactions: Transactions, event: str) -> None:
    sa.event.listen(transactions.engine.sync_engine, event, executes)
    await transactions.engine.dispose()

    for _ in range(2):
        await place(transactions)

    assert await written(transactions) == (2, 2)


async def test_a_cursor_of_the_driver_may_execute_something(transactions: Transactions) -> None:
    async with transactions() as uow:
        assert uow.now
    async with transactions() as uow:
        await uow.connection.run_sync(lambda inside: executes(inside.connection))
        uow.accounts.add(Account(uuid4()))

    assert await written(transactions) == (1, 0)


async def begin_by_hand(transactions: Transactions) -> None:
    async with transactions() as uow:
        inside: Any = await uow.connection.get_raw_connection()
        await inside.driver_connection.execute("begin")
        uow.accounts.add(Account(uuid4()))


async def test_a_transaction_that_was_begun_by_hand_is_refused_and_not_lost(transactions: Transactions) -> None:
    with pytest.raises(sa.exc.InterfaceError, match="manually started transaction"):
        await begin_by_hand(transactions)

    assert await written(transactions) == (0, 0)


async def test_looks_at_the_same_time_may_be_followed_by_a_write(transactions: Transactions) -> None:
    async with transactions() as uow:
        assert uow.now
    async with transactions() as uow:
        await asyncio.gather(*(uow.accounts.find(uuid4()) for _ in range(3)))
        uow.accounts.add(Account(uuid4()))

    assert await written(transactions) == (1, 0)


async def test_a_look_that_is_still_on_its_way_takes_no_write_with_it(transactions: Transactions) -> None:
    async with asyncio.TaskGroup() as tasks, another(transactions) as other:
        await other.execute(sa.text("lock table accounts in access exclusive mode"))
        async with transactions() as uow:
            look = tasks.create_task(uow.accounts.find(uuid4()))
            await somebody_waits(transactions.engine)
            tasks.create_task(other.rollback())  # it runs when the write waits for the look
            uow.events.append(AccountCredited(account_id=uuid4()), sequence=1)
        assert await look is None

    assert await written(transactions) == (0, 1)


# --- more comes in the same transaction ---


class Audited(SqlAccounts):
    """Has more to write than the library knows."""

    async def flush(self) -> None:
        await super().flush()
        await self.connection.execute(sa.insert(tables.inbox).values(event_id=None))


async def test_what_a_class_adds_to_its_flush_is_in_the_same_transaction(transactions: Transactions) -> None:
    audited = SqlTransactions(transactions.engine, Audited, source="/accounts")

    with pytest.raises(sa.exc.IntegrityError):
        await place(audited)

    assert await written(transactions) == (0, 0)


async def test_whoever_flushes_commits(transactions: Transactions) -> None:
    for commits in (False, True):
        async with transactions.engine.connect() as connection:
            uow = SqlAccounts(connection, source="/accounts", clock=transactions.clock, now=transactions.clock.now())
            uow.accounts.add(Account(uuid4()))
            await uow.flush()
            if commits:
                await connection.commit()

    assert await written(transactions) == (1, 0)


# --- others ask something of each transaction ---


async def test_an_engine_that_may_only_read_writes_nothing(transactions: Transactions) -> None:
    reading = replace(transactions, engine=transactions.engine.execution_options(postgresql_readonly=True))

    with pytest.raises(sa.exc.DBAPIError, match="read-only"):
        await place(reading)


@pytest.mark.private_database
async def test_a_database_whose_transactions_look_at_one_moment_is_asked_for_one(transactions: Transactions) -> None:
    async with another(transactions) as connection:
        name = (await connection.execute(sa.text("select current_database()"))).scalar_one()
        await connection.execute(sa.text(f"alter database {name} set default_transaction_isolation = 'serializable'"))
    await transactions.engine.dispose()
    account_id = uuid4()

    async with transactions() as uow:
        before = await uow.accounts.find(account_id)
        async with another(transactions) as connection:
            await connection.execute(sa.insert(accounts).values(id=account_id, version=1, balance=0))
        after = await uow.accounts.find(account_id)

    assert (before, after) == (None, None)


# --- others listen to errors ---


class TheirOwnError(Exception):
    """What a project makes of each error of the database."""


async def test_who_listens_to_errors_hears_of_none_where_a_row_was_there_before(
    transactions: Transactions,
) -> None:
    def handle(context: sa.ExceptionContext) -> None:
        raise TheirOwnError from context.original_exception

    account_id, task = uuid4(), NewTask("remind", "both")
    sa.event.listen(transactions.engine.sync_engine, "handle_error", handle)
    await place(transactions, account_id)
    for _ in range(2):
        async with transactions() as uow:
            uow.tasks.schedule(task)

    with pytest.raises(ConcurrentInsertError):
        await place(transactions, account_id)


async def test_of_a_row_that_was_there_before_nothing_more_is_tried(transactions: Transactions) -> None:
    account_id = uuid4()
    await place(transactions, account_id)
    for _ in range(5):
        with pytest.raises(ConcurrentInsertError):
            await place(transactions, account_id)
    await place(transactions)

    async with another(transactions) as connection:
        ids = (await connection.execute(sa.select(tables.outbox.c.id).order_by(tables.outbox.c.id))).scalars().all()
    assert ids[1] - ids[0] == 1


@pytest.mark.private_database
async def test_a_division_by_zero_of_the_projects_own_is_its_error(transactions: Transactions) -> None:
    async with another(transactions) as connection:
        ratio = "alter table accounts add ratio numeric generated always as (1 / balance) stored"
        await connection.execute(sa.text(ratio))

    with pytest.raises(sa.exc.DBAPIError, match="22012"):
        await place(transactions)

    assert await written(transactions) == (0, 0)
