"""The shop with its outbox, on a PostgreSQL and a Kafka that start with the tests."""

from collections.abc import AsyncIterator
from importlib import import_module
from types import ModuleType

import httpx
import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer
from backing_services.kafka import MockKafka
from backing_services.postgres import EmbeddedPostgres
from backing_services.waiting import eventually


@pytest.fixture
async def shop(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModuleType]:
    with EmbeddedPostgres() as server, MockKafka() as kafka:
        kafka.create_topic("orders", 1)
        monkeypatch.setenv("DATABASE_URL", server.url("postgres"))
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
        module = import_module("shop.app")
        async with module.engine.begin() as connection:
            await connection.run_sync(module.Base.metadata.create_all)
        yield module
        await module.engine.dispose()


async def rows(shop: ModuleType) -> int:
    async with shop.engine.connect() as connection:
        return int((await connection.execute(sa.select(sa.func.count()).select_from(shop.outbox.table))).scalar_one())


async def test_an_order_that_commits_is_sent_and_one_that_does_not_is_not(shop: ModuleType) -> None:
    async with shop.lifespan(shop.app):
        async with shop.sessions() as session:
            await shop.outbox.publish(session, {"order_id": "lost"}, topic="orders", key="lost")
        transport = httpx.ASGITransport(app=shop.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            answer = await client.post("/orders", json={"total": 3})

        consumer = AIOKafkaConsumer("orders", bootstrap_servers=shop.KAFKA, auto_offset_reset="earliest")
        async with consumer:
            record = await consumer.getone()

        async def is_empty() -> bool:
            return await rows(shop) == 0

        await eventually(is_empty)

    assert record.key.decode() == answer.json()
    assert dict(record.headers)["ce_type"] == b"order.placed.v1"
