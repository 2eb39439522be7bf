"""PgBouncer between a service and PostgreSQL: no event pays for it, and who forgot the setting is told so."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import sqlalchemy as sa
from backing_services.postgres import DatabaseIsolation, EmbeddedPostgres, PgBouncer, PostgresServer, PostgresStartError
from backing_services.waiting import eventually
from outboxed.consuming import BatchConsumer, Route
from outboxed.ports import NewTask
from outboxed.process import Metrics
from outboxed.relay import Relay
from outboxed.settings import Database
from outboxed.storage import (
    Clock,
    SqlTransactions,
    TimeoutsIgnoredError,
    create_engine,
    is_transient,
    reason_of,
    refusal_of,
    single_statements,
    tables,
)
from outboxed.storage import _database as database
from outboxed.storage._database import WITHOUT_STATEMENTS
from outboxed.storage._errors import USE_POOLER
from outboxed.tasks import SqlTaskQueue, Task, TaskKind, Worker
from outboxed.testing.services import running
from outboxed.testing.topics import Topics
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ..sample import Account, AccountCredited, MoneyMoved, SqlAccounts, accounts, credit, metadata, moved, raw
from .conftest import Transactions, count

StartPgBouncer = Callable[..., PgBouncer]
IGNORED = {"ignore_startup_parameters": ",".join(database.SESSION_SETTINGS)}
FEW = {"default_pool_size": "2"}
"""Fewer sessions than clients, so that each transaction may have another one."""
EVENTS, CONSUMERS, BATCH = 300, 3, 5


@pytest.fixture(scope="module")
def pooler(postgres_server: PostgresServer, start_pgbouncer: StartPgBouncer) -> PgBouncer:
    return start_pgbouncer(postgres_server, **FEW)


@pytest.fixture(scope="module")
def silent_pooler(postgres_server: PostgresServer, start_pgbouncer: StartPgBouncer) -> PgBouncer:
    """Drops the parameters of a connection and doesn't say so."""
    return start_pgbouncer(postgres_server, **FEW, **IGNORED)


@pytest.fixture(scope="module")
def forgetful_pooler(
    postgres_server: PostgresServer, start_pgbouncer: StartPgBouncer, silent_pooler: PgBouncer
) -> PgBouncer:
    """Drops a client's prepared statements, too, with the session that they were made in. All did before 1.21."""
    try:
        return start_pgbouncer(postgres_server, **FEW, **IGNORED, max_prepared_statements="0")
    except PostgresStartError:  # it doesn't know the setting
        return silent_pooler


@pytest.fixture(scope="module")
def session_pooler(postgres_server: PostgresServer, start_pgbouncer: StartPgBouncer) -> PgBouncer:
    return start_pgbouncer(postgres_server, pool_mode="session")


MakeEngine = Callable[..., AsyncEngine]


@pytest.fixture
async def engine_behind(
    isolation: DatabaseIsolation,
    transactions: Transactions,  # noqa: ARG001 - which empties the database
) -> AsyncIterator[MakeEngine]:
    """Makes engines of a process each, through a pooler."""
    name = str(make_url(isolation.url).database)
    async with AsyncExitStack() as stack:

        def make(pooler: PgBouncer, *, query: str = "pooler=transaction") -> AsyncEngine:
            engine = create_engine(f"{pooler.url(name)}?{query}", application_name="tests")
            stack.push_async_callback(engine.dispose)
            return engine

        yield make


def transactions_on(engine: AsyncEngine) -> Transactions:
    return SqlTransactions(engine, SqlAccounts, source="/accounts")


async def consume_all(engines: Sequence[AsyncEngine], records: Sequence[Any]) -> Counter[str]:
    """Each engine's consumer takes batches until none is left, as often as one comes back; the errors by kind."""
    batches = [records[first : first + BATCH] for first in range(0, len(records), BATCH)]
    errors: Counter[str] = Counter()

    async def consume(engine: AsyncEngine) -> None:
        consumer: BatchConsumer[Any] = BatchConsumer(
            "bank", [Route(MoneyMoved, credit)], transactions_on(engine), Metrics(Clock())
        )
        while batches:
            batch = batches.pop()
            try:
                await consumer.handle([raw(record) for record in batch])
            except Exception as error:
                if not is_transient(error):
                    raise
                errors[type(error).__name__] += 1
                batches.append(batch)

    await asyncio.gather(*map(consume, engines))
    return errors


async def evidence(engine: AsyncEngine) -> dict[str, int]:
    return {table.name: await count(engine, table) for table in (accounts, tables.inbox, tables.dead_letters)}


ALL_HANDLED = {"accounts": EVENTS, "inbox": EVENTS, "dead_letters": 0}


@pytest.mark.parametrize("name", ["statement_timeout", "lock_timeout"])
async def test_a_statement_by_itself_has_the_time_outs_of_a_transaction(
    pooler: PgBouncer, engine_behind: MakeEngine, engine: AsyncEngine, name: str
) -> None:
    told = []
    for each in (engine, engine_behind(pooler)):
        async with single_statements(each).connect() as connection:
            told.append((await connection.execute(sa.text(f"show {name}"))).scalar_one())

    assert told[1] == told[0] != "0"


# asyncpg#57, asyncpg#945: "prepared statement does not exist"
@pytest.mark.parametrize("behind", ["pooler", "session_pooler"])
async def test_behind_a_pooler_each_event_is_handled_once_and_none_is_a_dead_letter(
    engine_behind: MakeEngine, engine: AsyncEngine, request: pytest.FixtureRequest, behind: str
) -> None:
    engines = [engine_behind(request.getfixturevalue(behind)) for _ in range(CONSUMERS)]

    errors = await consume_all(engines, [moved(offset=number) for number in range(EVENTS)])

    assert await evidence(engine) == ALL_HANDLED
    assert not errors


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a pooler that keeps the time-outs, and gives each transaction another session nevertheless."""
    monkeypatch.setattr(database, "_timeouts_check", lambda: "select")


@pytest.mark.usefixtures("unasked")
async def test_without_the_setting_errors_of_the_sessions_make_batches_come_again_and_no_dead_letters(
    forgetful_pooler: PgBouncer, engine_behind: MakeEngine, engine: AsyncEngine
) -> None:
    engines = [engine_behind(forgetful_pooler, query="") for _ in range(CONSUMERS)]

    errors = await consume_all(engines, [moved(offset=number) for number in range(EVENTS)])

    assert await evidence(engine) == ALL_HANDLED
    assert errors, "the pooler gave each client a session of its own: the test shows nothing"


@pytest.mark.parametrize("name", [name for name in database.SESSION_SETTINGS if not name.startswith("tcp_")])
@pytest.mark.parametrize("behind", ["pooler", "silent_pooler"])
async def test_each_transaction_has_its_time_outs_and_leaves_none_in_the_session(
    engine_behind: MakeEngine, isolation: DatabaseIsolation, request: pytest.FixtureRequest, behind: str, name: str
) -> None:
    pooler: PgBouncer = request.getfixturevalue(behind)
    stranger = create_async_engine(pooler.url(str(make_url(isolation.url).database)), connect_args=WITHOUT_STATEMENTS)
    query = sa.text(
        "select current_setting(:name), pg_backend_pid(), reset_val from pg_settings where lower(name) = :name"
    ).bindparams(name=name)

    async with engine_behind(pooler).connect() as connection:
        inside, session, _ = (await connection.execute(query)).one()
        await connection.commit()
        async with stranger.connect() as other:
            outside, same_session, the_servers = (await other.execute(query)).one()
    await stranger.dispose()

    assert session == same_session
    assert inside == database.SESSION_SETTINGS[name]
    assert outside == the_servers


async def test_the_time_outs_come_with_the_transactions_begin_and_cost_no_round_trip(
    pooler: PgBouncer, engine_behind: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    execute = asyncpg.Connection.execute

    async def noted(self: Any, query: str, *args: Any, **options: Any) -> str:
        sent.append(query)
        return await execute(self, query, *args, **options)

    async with engine_behind(pooler).connect() as connection:
        monkeypatch.setattr(asyncpg.Connection, "execute", noted)
        await connection.execute(sa.text("select 1"))
        await connection.execute(sa.text("select 2"))
        await connection.commit()

    begin, *rest = sent
    assert begin.startswith("BEGIN;set local ")
    assert rest == ["COMMIT;"]


async def test_relays_on_shared_sessions_send_every_row_once(
    pooler: PgBouncer, engine_behind: MakeEngine, engine: AsyncEngine, topics: Topics
) -> None:
    writers = [transactions_on(engine_behind(pooler)) for _ in range(2)]
    relays = [Relay(each.engine, topics.kafka, each.events_appended) for each in writers]

    async with running(*(relay.run for relay in relays)):
        for writer in writers * 3:
            async with writer() as uow:
                for _ in range(20):
                    uow.events.append(AccountCredited(account_id=uuid4()), sequence=1)
        await eventually(lambda: is_empty(engine, tables.outbox))

    assert await topics.size("accounts") == 120


async def is_empty(engine: AsyncEngine, table: sa.Table) -> bool:
    return await count(engine, table) == 0


async def test_workers_on_shared_sessions_do_each_task_once(
    pooler: PgBouncer, engine_behind: MakeEngine, engine: AsyncEngine
) -> None:
    called: Counter[str] = Counter()

    async def call(task: Task) -> None:
        called[task.key] += 1

    async def record(task: Task, _: None, uow: SqlAccounts) -> None:
        uow.accounts.add(Account(UUID(task.key)))

    kind: TaskKind[Any] = TaskKind("open", record=record, call=call)
    here = [transactions_on(engine_behind(pooler)) for _ in range(3)]
    workers = [Worker([kind], SqlTaskQueue(each.engine, each.clock), each, each.tasks_scheduled) for each in here]
    keys = [str(uuid4()) for _ in range(60)]
    async with here[0]() as uow:
        for key in keys:
            uow.tasks.schedule(NewTask("open", key))

    async with running(*(worker.run for worker in workers)):
        await eventually(lambda: is_empty(engine, tables.tasks))

    assert called == Counter(keys)
    assert await count(engine, accounts) == len(keys)
    assert await count(engine, tables.dead_letters) == 0


async def connect(engine: AsyncEngine) -> None:
    async with engine.connect():
        pass


async def test_a_pooler_that_refuses_the_time_outs_is_named_with_what_to_set(
    pooler: PgBouncer, engine_behind: MakeEngine
) -> None:
    with pytest.raises((sa.exc.DBAPIError, asyncpg.PostgresError)) as refused:  # SQLAlchemy 2.0 doesn't wrap it
        await connect(engine_behind(pooler, query=""))

    told = "the database refuses: unsupported startup parameter: idle_in_transaction_session_timeout: "
    assert refusal_of(refused.value) == told + USE_POOLER
    assert is_transient(refused.value)


# asyncpg#1013: with the parameters ignored, no session had its time-outs, and nobody was told
async def test_a_pooler_that_drops_the_time_outs_is_refused_with_what_to_set(
    silent_pooler: PgBouncer, engine_behind: MakeEngine
) -> None:
    with pytest.raises(TimeoutsIgnoredError) as refused:
        await connect(engine_behind(silent_pooler, query=""))

    told = "the session has idle_in_transaction_session_timeout = 0, not 10s: "
    assert refusal_of(refused.value) == told + USE_POOLER
    assert is_transient(refused.value)


@pytest.mark.parametrize("name", database.TIMEOUTS)
async def test_each_time_out_that_a_session_lacks_is_noticed(
    isolation: DatabaseIsolation, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked = dict(database.SESSION_SETTINGS)

    def all_but_one(_: object, **settings: str) -> dict[str, Any]:
        return connect_options(parsed, **{key: value for key, value in settings.items() if key != name})

    parsed, connect_options = Database.parse(isolation.url), Database.connect_options
    monkeypatch.setattr(Database, "connect_options", all_but_one)
    engine = create_engine(isolation.url, application_name="tests")

    with pytest.raises(TimeoutsIgnoredError, match=f"^the session has {name} = 0, not {asked[name]}: "):
        await connect(engine)
    await engine.dispose()


async def test_an_outage_behind_the_pooler_makes_no_dead_letter(start_pgbouncer: StartPgBouncer) -> None:
    with EmbeddedPostgres(port=0) as server:
        own = start_pgbouncer(server, **FEW, server_login_retry="1")
        engine = create_engine(
            f"{own.url('postgres')}?pooler=transaction", application_name="tests", command_timeout=0.5
        )
        async with engine.begin() as connection:
            await connection.run_sync(tables.metadata.create_all)
            await connection.run_sync(metadata.create_all)
        here = transactions_on(engine)
        consumer: BatchConsumer[Any] = BatchConsumer("bank", [Route(MoneyMoved, credit)], here, Metrics(Clock()))
        said: set[str] = set()

        async def is_handled() -> bool:
            try:
                await consumer.handle([raw(moved(account_id, offset=1))])
            except Exception as error:
                if not is_transient(error):
                    raise
                said.add(reason_of(error))
                return False
            return True

        account_id = uuid4()
        assert await is_handled()
        server.stop()  # in order, because this server forgets at a crash what it held
        for _ in range(3):
            assert not await is_handled()
        server.start()
        await eventually(is_handled)

        assert await count(engine, tables.dead_letters) == 0
        assert any("server login has been failing" in each for each in said), said
        await engine.dispose()
