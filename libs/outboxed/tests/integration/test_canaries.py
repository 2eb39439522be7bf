"""What `outboxed._compat` uses of its dependencies, where it needs PostgreSQL or Kafka."""

import asyncio
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaProducer
from backing_services.kafka import MockKafka
from backing_services.postgres import DatabaseIsolation, asyncpg_url
from backing_services.waiting import eventually
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from outboxed.testing.records import consumer_record
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from libs.backing_services.tests.canary import canary


@canary("asyncpg", breaks="each new connection asks for every array type", mend="outboxed/_compat/asyncpg.py")
async def test_asyncpg_asks_for_array_types_in_a_method_that_can_be_overridden(isolation: DatabaseIsolation) -> None:
    asked: list[Any] = []

    class Connection(asyncpg.Connection):
        async def _introspect_types(self, typeoids: Any, *limit: Any) -> Any:
            parent: Any = super()
            asked.append(await parent._introspect_types(typeoids, *limit))  # noqa: SLF001 - whether it's there is the point
            return asked[-1]

    connection = await asyncpg.connect(asyncpg_url(isolation.url), connection_class=Connection)
    try:
        await connection.fetchval("select $1::bigint[]", [1])
    finally:
        await connection.close()

    assert asked, "`Connection._introspect_types` isn't called any more, or arrays need it no longer"
    [(types, _)] = asked
    assert [row["kind"] for row in types]


@canary("asyncpg", breaks="behind a pooler no transaction has its time-outs", mend="outboxed/_compat/asyncpg.py")
async def test_asyncpg_begins_a_transaction_with_one_statement_that_can_be_added_to(
    isolation: DatabaseIsolation,
) -> None:
    sent: list[str] = []

    class Connection(asyncpg.Connection):
        async def execute(self, query: str, *args: Any, **options: Any) -> str:
            sent.append(query)
            return str(await super().execute(f"{query}set local lock_timeout = '7s';", *args, **options))

    connection = await asyncpg.connect(asyncpg_url(isolation.url), connection_class=Connection)
    try:
        transaction = connection.transaction()
        await transaction.start()
        shown = await connection.fetchval("show lock_timeout")
    finally:
        await connection.close()

    assert (sent, shown) == (["BEGIN;"], "7s"), "asyncpg begins a transaction in another way"


@canary(
    "sqlalchemy",
    breaks="customers' data gets into logs, and no outage is told from a mistake",
    mend="outboxed/_compat/sqlalchemy.py",
)
async def test_sqlalchemy_keeps_the_error_of_asyncpg_as_the_cause_of_its_own(isolation: DatabaseIsolation) -> None:
    engine = create_async_engine(isolation.url)
    try:
        async with engine.connect() as connection:
            with pytest.raises(DBAPIError) as refused:
                await connection.execute(sa.text("select 1 / 0"))
    finally:
        await engine.dispose()
    wrapper: Any = refused.value.orig

    assert isinstance(wrapper.__cause__, asyncpg.DivisionByZeroError), "`orig.__cause__` isn't asyncpg's error any more"
    assert wrapper.sqlstate == "22012"


@canary(
    "faststream",
    breaks="a stopped consumer's transaction outlives its pool, and nobody knows the lag",
    mend="outboxed/_compat/faststream.py",
)
async def test_faststream_tells_of_its_client_and_of_the_tasks_that_it_cancels(own_kafka: MockKafka) -> None:
    broker = KafkaBroker(own_kafka.bootstrap_servers, consumer_only=True, graceful_timeout=0.01)
    subscriber: Any = broker.subscriber("topic", batch=True, group_id="canary", auto_offset_reset="earliest")
    clients: list[Any] = []

    async def hang(records: list[Any], message: KafkaMessage) -> None:  # noqa: ARG001 - pydantic 2.10 has no field `_`
        clients.append(message.consumer)
        await asyncio.Event().wait()

    subscriber(hang)

    await broker.start()
    try:
        running, client = list(subscriber.tasks), subscriber.consumer
        async with AIOKafkaProducer(bootstrap_servers=own_kafka.bootstrap_servers) as producer:
            await producer.send_and_wait("topic", b"{}")
        await eventually(lambda: bool(clients))
    finally:
        await broker.stop()
    await asyncio.wait(running, timeout=30)

    assert clients == [client]
    assert [task.cancelled() for task in running] == [True]
    assert subscriber.consumer is None


@canary(
    "sqlalchemy",
    breaks="statements that run for each event fail, or take three times as much CPU",
    mend="outboxed/_compat/sqlalchemy.py",
)
async def test_sqlalchemy_lets_a_cursor_run_a_statement_by_itself(
    isolation: DatabaseIsolation,
) -> None:
    engine = create_async_engine(isolation.url)
    try:
        async with engine.connect() as connection:
            inside: Any = connection.sync_connection
            adapter: Any = inside.connection.dbapi_connection
            cursor = adapter.cursor()
            await cursor._prepare_and_execute("select 1, 2.5", ())  # noqa: SLF001 - whether it's there is the point
            found, oids = [tuple(row) for row in cursor._rows], [column[1] for column in cursor.description]  # noqa: SLF001
            dialect: Any = connection.dialect
    finally:
        await engine.dispose()

    assert (found, oids) == ([(1, Decimal("2.5"))], [23, 1700]), "the cursor runs statements in another way"
    for part, name in (
        (inside, "_handle_dbapi_exception"),
        (inside, "dispatch"),
        (adapter, "autocommit"),
        (adapter, "isolation_level"),
        (inside, "_echo"),
        (dialect, "_invalidate_schema_cache"),
        (dialect, "_invalidate_schema_cache_asof"),
    ):
        assert hasattr(part, name), f"`{name}` has another name"


@canary("faststream", breaks="no command handles a dead letter again", mend="outboxed/_compat/faststream.py")
async def test_faststream_handles_a_record_by_a_subscriber_that_was_never_started(own_kafka: MockKafka) -> None:
    broker, handled = KafkaBroker(own_kafka.bootstrap_servers), list[Any]()

    @broker.subscriber("mails", group_id="g", batch=True)
    async def note(mails: list[int]) -> None:
        handled.extend(mails)

    [subscriber] = broker.subscribers
    each: Any = subscriber
    each._build_fastdepends_model()  # noqa: SLF001 - whether it is there is the point
    await broker.connect()
    await each.process_message((consumer_record("mails", b"1"), consumer_record("mails", b"2")))
    await broker.stop()

    assert (handled, each.group_id, each.topic_names, each.pattern) == ([1, 2], "g", ["mails"], None)
    assert (each.running, isinstance(each, BatchSubscriber)) == (False, True)
