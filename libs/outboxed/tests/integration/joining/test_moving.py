"""The pages about moving to outboxed: their migrations, run on what another outbox has left in PostgreSQL."""

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from backing_services.waiting import eventually
from faststream_outbox import OutboxBroker, make_outbox_table
from outboxed import Outbox
from outboxed.testing.topics import Topics
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from libs.backing_services.tests.snippets import snippet

PAGES = Path(__file__).parents[5] / "docs/how-to"
BODIES = [{"order_id": str(number % 3), "change": number} for number in range(30)]


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> Outbox:
    """What the pages import of the project."""
    outbox = Outbox()
    app, messaging = ModuleType("app"), ModuleType("app.messaging")
    messaging.outbox = outbox  # type: ignore[attr-defined]  # a module is what one puts into it
    monkeypatch.setitem(sys.modules, "app", app)
    monkeypatch.setitem(sys.modules, "app.messaging", messaging)
    return outbox


def migration(page: str, **names: Any) -> Callable[[sa.Connection], None]:
    """What the page's migration does, with other values for what it says of a project."""
    module: dict[str, Any] = {}
    exec(compile(snippet(PAGES / page, "def upgrade"), page, "exec"), module)  # noqa: S102 - a page of our own
    module.update(names)

    def upgrade(connection: sa.Connection) -> None:
        with Operations.context(MigrationContext.configure(connection)):
            module["upgrade"]()

    return upgrade


async def sent(outbox: Outbox, engine: AsyncEngine, topics: Topics, topic: str, count: int) -> list[Any]:
    """What the relay makes of the moved rows."""
    async with outbox.relay(engine, topics.kafka):
        records = await topics.read(topic, count)
        await eventually(lambda: is_empty(engine, outbox.table))
    return records


async def is_empty(engine: AsyncEngine, table: sa.Table) -> bool:
    return await count(engine, table) == 0


async def count(engine: AsyncEngine, table: sa.Table, *where: Any) -> int:
    async with engine.connect() as connection:
        found = await connection.scalar(sa.select(sa.func.count()).select_from(table).where(*where))
        return found or 0


def by_key(records: list[Any]) -> dict[str, list[Any]]:
    keys = sorted({record.key.decode() for record in records})
    return {key: [json.loads(one.value) for one in records if one.key.decode() == key] for key in keys}


EXPECTED = {key: [body for body in BODIES if body["order_id"] == key] for key in ("0", "1", "2")}


async def left_by_faststream_outbox(engine: AsyncEngine, outbox: Outbox) -> sa.Table:
    metadata = sa.MetaData()
    table = make_outbox_table(metadata)
    broker = OutboxBroker(engine, outbox_table=table)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.run_sync(outbox.metadata.create_all)
    async with AsyncSession(engine) as session, session.begin():
        for body in BODIES:
            await broker.publish(body, queue="orders_outbox", session=session, headers={"tenant": "ours"})
        later = timedelta(hours=1)
        await broker.publish({"order_id": "9"}, queue="orders_outbox", session=session, activate_in=later)
        await broker.publish({"order_id": "9"}, queue="orders_outbox", session=session, timer_id="t")
    async with engine.begin() as connection:  # it failed, and waits for its next attempt
        waits = (
            sa.update(table).where(table.c.id == 1).values(attempts_count=2, next_attempt_at=sa.text("now() + '1h'"))
        )
        await connection.execute(waits)
    return table


async def test_rows_of_faststream_outbox_are_sent_as_they_were_and_its_timers_stay(
    engine: AsyncEngine, outbox: Outbox, topics: Topics
) -> None:
    table = await left_by_faststream_outbox(engine, outbox)
    upgrade = migration("move-from-faststream-outbox.md", TOPICS={"orders_outbox": "accounts"})

    async with engine.begin() as connection:
        await connection.run_sync(upgrade)
    records = await sent(outbox, engine, topics, "accounts", len(BODIES))

    assert by_key(records) == EXPECTED
    assert {dict(record.headers)["tenant"] for record in records} == {b"ours"}
    assert {dict(record.headers)["content-type"] for record in records} == {b"application/json"}
    assert len({dict(record.headers)["correlation_id"] for record in records}) == len(BODIES)
    assert await count(engine, table) == 2


async def test_a_queue_without_a_topic_moves_nothing(engine: AsyncEngine, outbox: Outbox) -> None:
    table = await left_by_faststream_outbox(engine, outbox)
    upgrade = migration("move-from-faststream-outbox.md", TOPICS={"another": "accounts"})

    with pytest.raises(KeyError, match="orders_outbox"):
        async with engine.begin() as connection:
            await connection.run_sync(upgrade)

    assert await count(engine, table) == len(BODIES) + 2
    assert await is_empty(engine, outbox.table)


async def test_what_a_table_of_ones_own_has_not_sent_yet_is_sent_in_order_and_the_rest_is_history(
    engine: AsyncEngine, outbox: Outbox, topics: Topics
) -> None:
    own = sa.Table(
        "event_outbox",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("topic", sa.Text),
        sa.Column("key", sa.Text),
        sa.Column("payload", JSONB),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
    )
    rows = [{"topic": "accounts", "key": body["order_id"], "payload": body} for body in BODIES]
    history = {"topic": "accounts", "key": "9", "payload": {"old": True}, "sent_at": sa.func.now()}
    async with engine.begin() as connection:
        await connection.run_sync(own.metadata.create_all)
        await connection.run_sync(outbox.metadata.create_all)
        await connection.execute(sa.insert(own).values(**history))
        await connection.execute(sa.insert(own), rows)
        await connection.execute(sa.update(own).where(own.c.id == 2).values(topic="accounts"))  # now the last on disk

    async with engine.begin() as connection:
        await connection.run_sync(migration("move-from-your-own-outbox.md"))
    records = await sent(outbox, engine, topics, "accounts", len(BODIES))

    assert by_key(records) == EXPECTED
    assert await topics.size("accounts") == len(BODIES)
    assert await count(engine, own, own.c.sent_at.is_(None)) == 0
