"""What a unit of work writes at its end: by one statement, and in a transaction only where it needs one."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from math import inf
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from backing_services.postgres import DatabaseIsolation
from outboxed._compat import sqlalchemy
from outboxed.errors import TaskConflictError
from outboxed.ports import EventDeadLetter, NewTask
from outboxed.storage import ConcurrentInsertError, _clock, _statements, create_engine, tables
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ..sample import Account, AccountCredited, accounts, moved, raw
from .conftest import Transactions

Said = list[str]


@pytest.fixture
async def engine(isolation: DatabaseIsolation) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(isolation.url, application_name="tests", pool_size=1)
    yield engine
    await engine.dispose()


@pytest.fixture
async def said(transactions: Transactions, monkeypatch: pytest.MonkeyPatch) -> Said:
    """What the server hears from the engine's one connection: statements by their first word, BEGIN and COMMIT."""
    monkeypatch.setattr(_clock, "ASKED_EVERY", inf)
    monkeypatch.setattr(_clock, "PRECISE", inf)  # on a slow machine, too
    async with transactions() as uow:  # the time of the database is known from now on
        assert uow.now
    return await hear(transactions.engine, monkeypatch)


async def hear(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> Said:
    said: Said = []

    async def fetched(connection: AsyncConnection, text: str, parameters: Any, **how: Any) -> Any:
        found = await sqlalchemy.fetched(connection, text, parameters, **how)
        said.append(text.split(maxsplit=1)[0])
        return found

    def logged(query: Any) -> None:
        if query.query.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            said.append(re.split(r"\W", query.query)[0])

    async with engine.connect() as connection:
        inside: Any = await connection.get_raw_connection()
        inside.driver_connection.add_query_logger(logged)
    monkeypatch.setattr(_statements, "fetched", fetched)
    return said


async def place(transactions: Transactions, account: Account, *, task: NewTask | None = None) -> None:
    """A new aggregate with its event and a task."""
    async with transactions() as uow:
        uow.accounts.add(account)
        uow.events.append(AccountCredited(account_id=account.id), sequence=1)
        uow.tasks.schedule(task or NewTask("remind", str(account.id), delay=timedelta(hours=1)))


async def rows(transactions: Transactions, *of: sa.Table) -> list[int]:
    async with transactions.engine.connect() as connection:
        return [(await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one() for table in of]


WRITTEN = (accounts, tables.outbox, tables.tasks)


async def test_what_is_only_added_is_one_statement_without_a_transaction_around_it(
    transactions: Transactions, said: Said
) -> None:
    await place(transactions, Account(uuid4()))

    assert said == ["WITH"]
    assert await rows(transactions, *WRITTEN) == [1, 1, 1]


async def test_a_look_without_a_lock_begins_no_transaction(transactions: Transactions, said: Said) -> None:
    async with transactions() as uow:
        assert await uow.accounts.find(uuid4()) is None
        uow.accounts.add(Account(uuid4()))

    assert said == ["SELECT", "WITH"]


async def test_a_unit_that_does_nothing_says_nothing(transactions: Transactions, said: Said) -> None:
    async with transactions():
        pass

    assert said == []


async def test_what_is_locked_is_written_within_its_transaction(transactions: Transactions, said: Said) -> None:
    account = Account(uuid4())
    await place(transactions, account)
    said.clear()
    async with transactions() as uow:
        current = await uow.accounts.get(account.id)
        assert current is not None
        uow.accounts.save(current.credit(Decimal(1)))
        uow.events.append(AccountCredited(account_id=account.id), sequence=2)

    assert said == ["BEGIN", "SELECT", "WITH", "COMMIT"]


async def test_dead_letters_are_in_one_transaction_with_the_rest(transactions: Transactions, said: Said) -> None:
    async with transactions() as uow:
        uow.accounts.add(Account(uuid4()))
        uow.dead_letters.add(EventDeadLetter("group", raw(moved()), "unreadable"))

    assert (said[0], said.count("BEGIN"), said[-2:]) == ("BEGIN", 1, ["WITH", "COMMIT"])
    assert await rows(transactions, accounts, tables.dead_letters) == [1, 1]


async def test_what_a_project_executes_itself_is_in_one_transaction_with_the_rest(
    transactions: Transactions, said: Said
) -> None:
    async def fail(transactions: Transactions) -> None:
        async with transactions() as uow:
            await uow.connection.execute(sa.insert(accounts).values(id=uuid4(), version=1, balance=0))
            uow.accounts.add(Account(uuid4()))
            uow.events.append(AccountCredited(account_id=uuid4()), sequence=1)
            uow.tasks.schedule(NewTask("remind", "x" * 10, payload={"bad": "\0"}))

    with pytest.raises(sa.exc.DBAPIError):
        await fail(transactions)

    assert said[0] == "BEGIN"
    assert await rows(transactions, *WRITTEN) == [0, 0, 0]


async def test_a_session_that_looks_at_one_moment_has_its_transaction(transactions: Transactions, said: Said) -> None:
    own = replace(transactions, engine=transactions.engine.execution_options(isolation_level="REPEATABLE READ"))
    async with own() as uow:
        assert await uow.accounts.find(uuid4()) is None
        uow.accounts.add(Account(uuid4()))

    assert said == ["BEGIN", "SELECT", "WITH", "COMMIT"]


async def test_where_somebody_listens_to_sqlalchemy_all_is_written_in_its_transaction(
    transactions: Transactions, said: Said
) -> None:
    heard: Said = []
    sa.event.listen(transactions.engine.sync_engine, "before_cursor_execute", lambda *event: heard.append(event[2]))
    await place(transactions, Account(uuid4()))

    assert said == ["BEGIN", "COMMIT"]
    assert len(heard) == 1
    assert await rows(transactions, *WRITTEN) == [1, 1, 1]


async def test_where_somebody_listens_to_transactions_there_is_one(transactions: Transactions, said: Said) -> None:
    heard: Said = []
    sa.event.listen(transactions.engine.sync_engine, "commit", lambda _: heard.append("commit"))
    await place(transactions, Account(uuid4()))

    assert (said, heard) == (["BEGIN", "WITH", "COMMIT"], ["commit"])


async def test_behind_a_pooler_each_statement_has_the_transactions_time_outs(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = transactions.engine.url.update_query_dict({"pooler": "transaction"})
    pooled = create_engine(url.render_as_string(hide_password=False), application_name="tests", pool_size=1)
    said = await hear(pooled, monkeypatch)

    await place(replace(transactions, engine=pooled), Account(uuid4()))

    await pooled.dispose()
    assert said[0] == "BEGIN"
    assert said[-2:] == ["WITH", "COMMIT"]


async def test_of_a_new_row_that_is_there_already_nothing_else_is_written(transactions: Transactions) -> None:
    account = Account(uuid4())
    await place(transactions, account)
    with pytest.raises(ConcurrentInsertError, match="1 of 1 new rows of accounts were there already"):
        await place(transactions, account, task=NewTask("remind", "another"))

    assert await rows(transactions, *WRITTEN) == [1, 1, 1]


@pytest.mark.private_database
async def test_a_new_row_that_another_rule_forbids_is_an_error_and_not_one_that_is_there(
    transactions: Transactions,
) -> None:
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.text("create unique index accounts_balance on accounts (balance)"))
    await place(transactions, Account(uuid4(), Decimal(7)))
    with pytest.raises(IntegrityError, match="accounts_balance"):
        await place(transactions, Account(uuid4(), Decimal(7)))

    assert await rows(transactions, *WRITTEN) == [1, 1, 1]


async def test_a_task_that_waits_already_is_scheduled_once_and_all_else_is_written(transactions: Transactions) -> None:
    task = NewTask("remind", "both", delay=timedelta(hours=1))
    for _ in range(2):
        await place(transactions, Account(uuid4()), task=task)

    assert await rows(transactions, *WRITTEN) == [2, 2, 1]


async def test_of_another_task_under_a_key_that_waits_nothing_is_written(transactions: Transactions) -> None:
    await place(transactions, Account(uuid4()), task=NewTask("remind", "both", payload={"of": 1}))
    with pytest.raises(TaskConflictError):
        await place(transactions, Account(uuid4()), task=NewTask("remind", "both", payload={"of": 2}))

    assert await rows(transactions, *WRITTEN) == [1, 1, 1]


async def test_a_row_that_the_database_refuses_is_its_error_and_nothing_is_written(transactions: Transactions) -> None:
    nothing: Any = None
    with pytest.raises(IntegrityError, match="balance"):
        await place(transactions, Account(uuid4(), balance=nothing))

    assert await rows(transactions, *WRITTEN) == [0, 0, 0]


async def test_the_connection_begins_its_next_transaction_as_before(transactions: Transactions) -> None:
    kept, taken_back = uuid4(), uuid4()
    await place(transactions, Account(kept))
    async with transactions.engine.connect() as connection:
        await connection.execute(sa.insert(accounts).values(id=taken_back, version=1, balance=0))
        await connection.rollback()

    async with transactions.engine.connect() as connection:
        found: list[UUID] = list((await connection.execute(sa.select(accounts.c.id))).scalars())
    assert found == [kept]


async def test_a_commit_that_a_single_statement_made_wakes_who_waits_for_it(transactions: Transactions) -> None:
    for woken in (transactions.events_appended, transactions.tasks_scheduled):
        waiting = woken.subscribe()
        await place(transactions, Account(uuid4()), task=NewTask("remind", str(uuid4())))

        async with asyncio.timeout(30):
            assert await waiting.wait(60)


async def test_what_a_failed_commit_would_have_written_is_not_told_as_committed(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be counted, and the alarm for events that nobody sends would ring."""
    told: list[object] = []
    counted = replace(transactions, committed=told.append)

    async def refuse(_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr("outboxed.storage._unit_of_work._commit", refuse)
        with pytest.raises(ConnectionResetError):
            async with counted() as uow:
                uow.events.append(AccountCredited(account_id=uuid4()), sequence=1)
    failed = len(told)
    async with counted() as uow:
        uow.events.append(AccountCredited(account_id=uuid4()), sequence=1)

    assert (failed, len(told)) == (0, 1)
