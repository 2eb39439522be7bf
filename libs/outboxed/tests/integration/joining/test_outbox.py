"""The outbox in a project that has its own models, sessions, tables and migrations."""

import asyncio
import dataclasses
import hashlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import structlog
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from backing_services.waiting import eventually
from outboxed import Outbox
from outboxed import _wakeups as signals
from outboxed.errors import EventTooLargeError
from outboxed.joining import _outbox as joining_outbox
from outboxed.joining import _running as running
from outboxed.messages import MAX_KEY_BYTES
from outboxed.relay import Relay
from outboxed.settings import KafkaSettings
from outboxed.telemetry import SpanKind, continued_trace
from outboxed.testing.topics import Topics
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

CONVENTION = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}


class OrderPlaced(BaseModel):
    order_id: UUID
    total: int = 1


@dataclasses.dataclass(frozen=True)
class OrderShipped:
    order_id: UUID


class Project:
    """A project as teams have them: a Base with a naming convention, and a table that we would call the same."""

    def __init__(self, **names: Any) -> None:
        class Base(DeclarativeBase):
            metadata = sa.MetaData(naming_convention=CONVENTION)

        class Task(Base):
            __tablename__ = "tasks"
            id: Mapped[UUID] = mapped_column(primary_key=True)
            total: Mapped[int] = mapped_column(default=0)

        self.task = Task
        self.metadata = Base.metadata
        self.outbox = Outbox(source="/shop", metadata=Base.metadata, **names)
        self.outbox.event("order.placed.v1", topic="accounts", key="order_id")(OrderPlaced)


async def created(engine: AsyncEngine, metadata: sa.MetaData) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)


@pytest.fixture
async def project(engine: AsyncEngine) -> Project:
    project = Project()
    await created(engine, project.metadata)
    return project


def sync_url(url: str, driver: str) -> sa.URL:
    return sa.make_url(url).set(drivername=f"postgresql+{driver}")


@pytest.fixture(params=["psycopg", "psycopg2"])
def sync_engine(request: pytest.FixtureRequest, url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(sync_url(url, request.param))
    yield engine
    engine.dispose()


async def rows(engine: AsyncEngine, table: sa.Table) -> list[Any]:
    async with engine.connect() as connection:
        return list(await connection.execute(sa.select(table).order_by(table.c.id)))


@pytest.fixture
def seldom_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that isn't told finds nothing in the time of a test."""
    for name in ("POLL_SECONDS", "IDLE_POLL_SECONDS", "SAFETY_SECONDS"):
        monkeypatch.setattr(signals, name, 60.0)


@pytest.mark.usefixtures("seldom_looking")
async def test_what_is_published_commits_with_the_state_and_is_sent_at_once(
    project: Project,
    engine: AsyncEngine,
    sessions: async_sessionmaker[AsyncSession],
    topics: Topics,
) -> None:
    order_id = uuid4()
    async with project.outbox.relay(engine, topics.kafka):
        async with sessions() as session:
            session.add(project.task(id=order_id))
            event_id = await project.outbox.publish(session, OrderPlaced(order_id=order_id))
            await session.commit()
        async with asyncio.timeout(30):
            [record] = await topics.read("accounts", 1)

    headers = {name: raw.decode() for name, raw in record.headers}
    assert (record.key.decode(), json.loads(record.value)) == (str(order_id), {"order_id": str(order_id), "total": 1})
    assert (headers["ce_id"], headers["ce_type"], headers["ce_source"]) == (event_id, "order.placed.v1", "/shop")
    await eventually(lambda: _is_empty(engine, project.outbox.table))


async def _is_empty(engine: AsyncEngine, table: sa.Table) -> bool:
    return not await rows(engine, table)


async def test_nothing_of_a_transaction_that_rolls_back_is_sent(
    project: Project, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], topics: Topics
) -> None:
    first, second = uuid4(), uuid4()
    async with project.outbox.relay(engine, topics.kafka):
        async with sessions() as session:
            await project.outbox.publish(session, OrderPlaced(order_id=first))
            await session.rollback()
            await project.outbox.publish(session, OrderPlaced(order_id=second))
            async with session.begin_nested() as savepoint:
                await project.outbox.publish(session, OrderPlaced(order_id=first))
                await savepoint.rollback()
            await session.commit()
        [record] = await topics.read("accounts", 1)
        await eventually(lambda: _is_empty(engine, project.outbox.table))

    assert record.key.decode() == str(second)


async def test_an_event_takes_its_place_after_the_row_that_it_is_about_is_locked(
    project: Project, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession]
) -> None:
    order_id = uuid4()
    async with sessions() as session:
        session.add(project.task(id=order_id))
        await session.commit()

    async with sessions(autoflush=False) as session:
        (await session.get_one(project.task, order_id)).total = 2
        await project.outbox.publish(session, OrderPlaced(order_id=order_id, total=2))
        async with engine.connect() as other:
            unlocked = (await other.execute(sa.text("select id from tasks for update skip locked"))).all()

    assert unlocked == []


@pytest.mark.parametrize(
    ("event", "body", "content_type"),
    [
        ({"order_id": 7}, b'{"order_id":7}', "application/json"),
        (OrderShipped(UUID(int=7)), b'{"order_id":"00000000-0000-0000-0000-000000000007"}', "application/json"),
        (b"\x00\x01avro", b"\x00\x01avro", "application/octet-stream"),
    ],
)
async def test_a_mapping_a_dataclass_and_bytes_are_events_too(
    project: Project,
    engine: AsyncEngine,
    sessions: async_sessionmaker[AsyncSession],
    event: Any,
    body: bytes,
    content_type: str,
) -> None:
    async with sessions.begin() as session:
        event_id = await project.outbox.publish(
            session, event, type="any.v1", topic="accounts", key="7", headers={"x-tenant": "ä"}
        )

    [row] = await rows(engine, project.outbox.table)
    assert (row.key, row.value, row.headers["content-type"], row.headers["x-tenant"]) == ("7", body, content_type, "ä")
    assert (row.headers["ce_id"], row.headers["ce_type"]) == (event_id, "any.v1")


async def test_rules_give_topic_and_key_and_without_a_source_there_is_no_cloud_event(
    engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession]
) -> None:
    outbox = Outbox(topic=lambda event: f"shop.{type(event).__name__}", key=lambda event: event.order_id)
    await created(engine, outbox.metadata)

    async with sessions.begin() as session:
        await outbox.publish(session, OrderShipped(UUID(int=7)))

    [row] = await rows(engine, outbox.table)
    assert (row.topic, row.key) == ("shop.OrderShipped", str(UUID(int=7)))
    assert row.headers == {"content-type": "application/json"}


async def test_an_event_without_a_key_goes_by_its_id(
    project: Project, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession]
) -> None:
    async with sessions.begin() as session:
        event_id = await project.outbox.publish(session, {"a": 1}, topic="accounts")

    assert [row.key for row in await rows(engine, project.outbox.table)] == [event_id]


NO_ID: dict[str, Any] = {"order_id": None}
LARGE: dict[str, Any] = {"order_id": UUID(int=1), "total": "x" * 600_000}


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"a": 1}, "dict has no topic"),
        ("text", "not a str"),
        (OrderPlaced.model_construct(**NO_ID), "OrderPlaced|order.placed.v1 has no order_id"),
        (OrderPlaced.model_construct(**LARGE), "the limit is"),
    ],
)
async def test_what_cannot_be_sent_is_refused_when_it_is_published(
    project: Project, sessions: async_sessionmaker[AsyncSession], event: Any, error: str
) -> None:
    async with sessions() as session:
        with pytest.raises((ValueError, TypeError, EventTooLargeError), match=error):
            await project.outbox.publish(session, event)


async def test_a_scoped_session_and_a_connection_publish_too(
    project: Project, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession]
) -> None:
    scoped = async_scoped_session(sessions, scopefunc=asyncio.current_task)
    await project.outbox.publish(scoped, OrderPlaced(order_id=uuid4()))
    await scoped.commit()
    await scoped.remove()
    async with engine.begin() as connection:
        await project.outbox.publish(connection, OrderPlaced(order_id=uuid4()))

    assert len(await rows(engine, project.outbox.table)) == 2


@pytest.mark.usefixtures("seldom_looking")
async def test_a_session_that_is_not_asynchronous_publishes_and_the_relay_is_told(
    project: Project, sync_engine: sa.Engine, topics: Topics
) -> None:
    def in_a_thread() -> None:
        with sessionmaker(sync_engine).begin() as session:
            session.add(project.task(id=uuid4()))
            project.outbox.publish_sync(session, OrderPlaced(order_id=uuid4()), headers={"x": "ü"})

    async with project.outbox.relay(sync_engine, topics.kafka), asyncio.timeout(30):
        await asyncio.sleep(0)
        await asyncio.to_thread(in_a_thread)
        [record] = await topics.read("accounts", 1)

    assert dict(record.headers)["x"] == "ü".encode()


async def test_both_forms_write_the_same_row_of_whatever_they_are_given(
    project: Project, engine: AsyncEngine, sync_engine: sa.Engine
) -> None:
    event = OrderPlaced(order_id=uuid4())
    given: Any = {"type": "order.placed.v2", "topic": "elsewhere", "key": "k", "id": "event-1", "headers": {"x": "1"}}

    async with AsyncSession(engine) as session, session.begin():
        await project.outbox.publish(session, event, **given)
    with Session(sync_engine) as sync_session, sync_session.begin():
        project.outbox.publish_sync(sync_session, event, **given)

    async with engine.connect() as connection:
        rows = (await connection.execute(sa.select(project.outbox.table))).all()
    for form in (project.outbox.publish, project.outbox.publish_sync):
        assert {*inspect.signature(form).parameters} == {"session", "event", *given}, "give it here, too"
    for row in rows:
        assert (row.topic, row.key, row.value) == ("elsewhere", "k", event.model_dump_json().encode())
        told = {name: row.headers[name] for name in ("ce_type", "ce_id", "ce_subject", "x")}
        assert told == {"ce_type": "order.placed.v2", "ce_id": "event-1", "ce_subject": "k", "x": "1"}
    assert len(rows) == 2


async def test_an_event_has_the_trace_in_which_it_was_published(project: Project, engine: AsyncEngine) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"

    async with AsyncSession(engine) as session, session.begin():
        with continued_trace("an order", f"00-{trace}-b7ad6b7169203331-01", SpanKind.INTERNAL):
            await project.outbox.publish(session, OrderPlaced(order_id=uuid4()))

    async with engine.connect() as connection:
        headers = (await connection.execute(sa.select(project.outbox.table.c.headers))).scalar_one()
    assert headers["traceparent"].split("-")[1] == trace


async def test_the_relay_is_told_by_the_end_of_the_transaction_and_not_by_that_of_a_savepoint(
    project: Project, sessions: async_sessionmaker[AsyncSession]
) -> None:
    committed = project.outbox._committed  # noqa: SLF001 - which a relay listens to
    told = committed.wakeup.subscribe()

    with committed.heard_here():
        async with sessions() as session, session.begin():
            async with session.begin_nested():
                await project.outbox.publish(session, OrderPlaced(order_id=uuid4()))
            await asyncio.sleep(0)
            early = await told.wait(0)
        await asyncio.sleep(0)
        in_the_end = await told.wait(0)

    assert (early, in_the_end) == (False, True)


def test_a_scoped_session_that_is_not_asynchronous_publishes_too(project: Project, sync_engine: sa.Engine) -> None:
    scoped = scoped_session(sessionmaker(sync_engine))
    project.outbox.publish_sync(scoped, OrderPlaced(order_id=uuid4()))
    scoped.commit()
    scoped.remove()
    with Session(sync_engine) as session:
        found = session.execute(sa.select(sa.func.count()).select_from(project.outbox.table)).scalar_one()

    assert found == 1


@pytest.mark.parametrize("hook", ["before_flush", "after_flush", "after_flush_postexec", "before_commit"])
async def test_what_a_listener_of_the_session_publishes_commits_with_it_and_is_sent(
    project: Project, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], topics: Topics, hook: str
) -> None:
    """As projects do that collect the events of their aggregates."""
    events = [OrderPlaced(order_id=uuid4())]

    def publish_all(session: Session, *_: Any) -> None:
        while events:
            project.outbox.publish_sync(session, events.pop())

    async with project.outbox.relay(engine, topics.kafka):
        async with sessions() as session:
            sa.event.listen(session.sync_session, hook, publish_all)
            session.add(project.task(id=uuid4()))
            await session.commit()
        [record] = await topics.read("accounts", 1)

    assert json.loads(record.value)["total"] == 1


async def test_the_relay_runs_on_psycopg_too(project: Project, url: str, topics: Topics) -> None:
    engine = create_async_engine(sync_url(url, "psycopg"))
    async with project.outbox.relay(engine, topics.kafka):
        async with async_sessionmaker(engine).begin() as session:
            await project.outbox.publish(session, OrderPlaced(order_id=uuid4()))
        await topics.read("accounts", 1)
        await eventually(lambda: _is_empty(engine, project.outbox.table))
    await engine.dispose()


@pytest.mark.parametrize("isolation_level", ["AUTOCOMMIT", "SERIALIZABLE"])
async def test_the_relay_locks_whatever_isolation_the_projects_engine_has(
    project: Project, url: str, sessions: async_sessionmaker[AsyncSession], topics: Topics, isolation_level: str
) -> None:
    engine = create_async_engine(url, isolation_level=isolation_level)
    async with project.outbox.relay(engine, topics.kafka), project.outbox.relay(engine, topics.kafka):
        for _ in range(5):
            async with sessions.begin() as session:
                await project.outbox.publish(session, OrderPlaced(order_id=UUID(int=1)))
        await eventually(lambda: _is_empty(engine, project.outbox.table))
    records = await topics.read("accounts", 5)
    await engine.dispose()

    assert len({dict(record.headers)["ce_id"] for record in records}) == 5


NAMES: dict[str, dict[str, Any]] = {
    "a prefix": {"prefix": "shop_"},
    "a schema": {"schema": "messaging", "prefix": ""},
    "a name that must be quoted": {"table": "Out Box", "dead_letters_table": "refused's"},
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
async def test_tables_of_any_name_and_schema_are_sent_and_refused_rows_set_aside(
    engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], topics: Topics, names: dict[str, Any]
) -> None:
    project = Project(**names)
    async with engine.begin() as connection:
        await connection.execute(sa.text("create schema messaging"))
    await created(engine, project.metadata)
    async with sessions.begin() as session:
        await project.outbox.publish(session, OrderPlaced(order_id=uuid4()))
        await project.outbox.publish(session, {"a": 1}, topic="no topic", key="7")

    async with project.outbox.relay(engine, topics.kafka):
        await topics.read("accounts", 1)
        await eventually(lambda: _has_one(engine, project.outbox.dead_letters))

    assert await _is_empty(engine, project.outbox.table)


async def test_a_refused_row_of_the_longest_names_is_set_aside_and_holds_up_nobody(
    project: Project, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], topics: Topics
) -> None:
    """An index has both names; what repeats itself it could shorten."""
    longest = "".join(hashlib.sha512(bytes([number])).hexdigest() for number in range(16))
    async with sessions.begin() as session:
        await project.outbox.publish(session, {"a": 1}, topic=f" {longest[:248]}", key=longest[:MAX_KEY_BYTES])
        await project.outbox.publish(session, OrderPlaced(order_id=uuid4()))

    async with project.outbox.relay(engine, topics.kafka):
        await topics.read("accounts", 1)
        await eventually(lambda: _has_one(engine, project.outbox.dead_letters))


async def test_a_table_that_was_renamed_is_sent_and_so_is_the_next_one_of_its_name(
    project: Project, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], topics: Topics
) -> None:
    """Its sequence keeps the old name, and the next table's sequence gets a number behind it."""
    renamed = Outbox(table="former_outbox", topic="moves")
    async with engine.begin() as connection:
        await connection.execute(sa.text("alter table outboxed_outbox rename to former_outbox"))
        for index in ("free", "held"):
            await connection.execute(sa.text(f"drop index outboxed_outbox_{index}"))
        await connection.execute(sa.text("alter table former_outbox drop constraint pk_outboxed_outbox"))
        await connection.run_sync(project.metadata.create_all)
    async with sessions.begin() as session:
        await renamed.publish(session, {"a": 1})
        await project.outbox.publish(session, OrderPlaced(order_id=uuid4()))

    async with renamed.relay(engine, topics.kafka):
        await topics.read("moves", 1)
    async with engine.begin() as connection:
        await connection.execute(sa.text("drop table former_outbox"))
    async with project.outbox.relay(engine, topics.kafka):
        await topics.read("accounts", 1)


async def _has_one(engine: AsyncEngine, table: sa.Table) -> bool:
    return len(await rows(engine, table)) == 1


async def test_two_outboxes_of_one_database_are_sent_side_by_side(engine: AsyncEngine, topics: Topics) -> None:
    first, second = Outbox(prefix="one_", topic="accounts"), Outbox(prefix="two_", topic="moves")
    for outbox in (first, second):
        await created(engine, outbox.metadata)

    async with first.relay(engine, topics.kafka), second.relay(engine, topics.kafka):
        for outbox in (first, second):
            async with AsyncSession(engine) as session, session.begin():
                await outbox.publish(session, {"a": 1})
        read = [await topics.read("accounts", 1), await topics.read("moves", 1)]

    assert [len(each) for each in read] == [1, 1]


@pytest.mark.parametrize("name", ["", "x" * 41])
def test_a_name_that_postgresql_would_cut_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 40 characters"):
        Outbox(table=name or None, prefix="x" * 40)


@pytest.mark.parametrize("names", [{}, {"schema": "messaging"}], ids=["public", "a schema"])
def test_alembic_makes_the_tables_and_then_proposes_nothing(url: str, tmp_path: Path, names: dict[str, Any]) -> None:
    """With the revision that autogenerate writes, as a project has it."""
    project = Project(**names)
    engine = sa.create_engine(sync_url(url, "psycopg"))
    config = Config(str(tmp_path / "alembic.ini"))
    command.init(config, str(tmp_path / "migrations"))
    (tmp_path / "migrations" / "env.py").write_text(
        "from alembic import context\n"
        "context.configure(**context.config.attributes['options'])\n"
        "with context.begin_transaction():\n"
        "    context.run_migrations()\n"
    )
    with engine.begin() as connection:
        connection.execute(sa.text("create schema messaging"))
        options = {
            "connection": connection,
            "target_metadata": project.metadata,
            "include_schemas": True,
            "compare_type": True,
            "compare_server_default": True,
        }
        config.attributes["options"] = options
        config.set_main_option("script_location", str(tmp_path / "migrations"))
        command.revision(config, "the outbox", autogenerate=True)
        command.upgrade(config, "head")

        context = MigrationContext.configure(connection, opts={k: v for k, v in options.items() if k != "connection"})
        proposed = compare_metadata(context, project.metadata)
        names_there = sa.inspect(connection).get_table_names(schema=names.get("schema"))
    engine.dispose()

    assert proposed == []
    assert {"outboxed_outbox", "outboxed_dead_letters"} <= set(names_there)


async def test_a_relay_whose_tables_are_not_there_yet_begins_when_they_are(
    engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], topics: Topics
) -> None:
    project = Project()
    async with project.outbox.relay(engine, topics.kafka):
        await asyncio.sleep(0)
        await created(engine, project.metadata)
        async with sessions.begin() as session:
            await project.outbox.publish(session, OrderPlaced(order_id=uuid4()))
        await topics.read("accounts", 1)


@pytest.mark.parametrize(
    ("kafka", "options", "says"),
    [
        ("kafka:x", {}, "Kafka's address must be host:port"),
        ("", {}, "Kafka's address"),
        (["a:9092", "kafka://b:9092"], {}, "Kafka's address must be host:port"),
        ("kafka:9092", {"acks": "all"}, "doesn't take the option acks"),
        ("kafka:9092", {"enable_idempotence": True}, "doesn't take the option enable_idempotence"),
        ("kafka:9092", {"bootstrap_servers": "b:9092"}, "second argument says where Kafka is"),
        ("kafka:9092", {"security_protocl": "SSL"}, "unexpected keyword argument 'security_protocl'"),
        ("kafka:9092", {"security_protocol": "TLS"}, "security_protocol"),
        (KafkaSettings(("kafka:9092",)), {"client_id": "shop"}, "client_id: a KafkaClient has its options"),
    ],
)
async def test_an_address_or_an_option_that_no_relay_could_use_is_refused_at_once(
    project: Project, engine: AsyncEngine, kafka: Any, options: dict[str, Any], says: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        async with project.outbox.relay(engine, kafka, **options):
            pass


@pytest.mark.parametrize("options", [{}, {"compression_type": "gzip", "client_id": "shop"}])
async def test_a_relay_takes_kafkas_addresses_as_a_text_or_a_list_and_aiokafkas_options(
    project: Project, engine: AsyncEngine, topics: Topics, options: dict[str, Any]
) -> None:
    async with AsyncSession(engine) as session, session.begin():
        await project.outbox.publish(session, {"a": 1}, topic=topics.kafka.topic("accounts"))
    addresses = topics.kafka.client_options()["bootstrap_servers"]

    async with project.outbox.relay(engine, addresses if options else ",".join(addresses), **options):
        [record] = await topics.read("accounts", 1)

    assert record.value == b'{"a":1}'


async def test_a_relay_that_ends_by_an_error_nobody_foresaw_is_logged_and_begins_again(
    project: Project, engine: AsyncEngine, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "AGAIN_SECONDS", 0.01)
    runs = iter([RuntimeError("unforeseen")])

    class Failing(Relay):
        async def run(self, stop: Any) -> None:
            for error in runs:
                raise error
            await super().run(stop)

    monkeypatch.setattr(joining_outbox, "Relay", Failing)
    with structlog.testing.capture_logs() as logs:
        async with project.outbox.relay(engine, topics.kafka):
            async with AsyncSession(engine) as session, session.begin():
                await project.outbox.publish(session, OrderPlaced(order_id=uuid4()))
            await topics.read("accounts", 1)

    assert [line["error"] for line in logs if line["event"] == "relay_ended"] == ["RuntimeError('unforeseen')"]
