"""The mailer with dead letters: Kafka gives it a message that nobody can read."""

from collections.abc import AsyncIterator
from importlib import import_module
from types import ModuleType
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaProducer
from backing_services.kafka import MockKafka
from backing_services.postgres import EmbeddedPostgres
from backing_services.waiting import eventually


@pytest.fixture
async def mailer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModuleType]:
    with EmbeddedPostgres() as server, MockKafka() as kafka:
        kafka.create_topic("orders", 1)
        monkeypatch.setenv("DATABASE_URL", server.url("postgres"))
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
        module = import_module("mailer.app")
        async with module.engine.begin() as connection:
            await connection.run_sync(module.Base.metadata.create_all)
        yield module
        await module.engine.dispose()


async def test_a_message_that_nobody_can_read_is_mended_over_http_and_those_behind_it_go_on(mailer: ModuleType) -> None:
    async def mails() -> list[UUID]:
        async with mailer.sessions() as session:
            return sorted((await session.execute(sa.select(mailer.Mail.order_id))).scalars())

    async with AIOKafkaProducer(bootstrap_servers=mailer.KAFKA) as producer:
        await producer.send_and_wait("orders", b'{"order": 1}')
        await producer.send_and_wait("orders", mailer.OrderPlaced(order_id=UUID(int=2)).model_dump_json().encode())

    async def second() -> bool:
        return await mails() == [UUID(int=2)]

    async with mailer.lifespan(mailer.app):
        await eventually(second)
        transport = httpx.ASGITransport(app=mailer.app)
        headers = {"x-operator": "ada"}
        async with httpx.AsyncClient(transport=transport, base_url="http://mailer", headers=headers) as client:
            [letter] = (await client.get("/dead-letters")).json()["items"]
            mended = {"value": {"text": f'{{"order_id": "{UUID(int=1)}"}}'}}
            await client.patch(f"/dead-letters/{letter['id']}", json=mended)
            replayed = await client.post(f"/dead-letters/{letter['id']}/replay")

    assert replayed.json()["status"] == "replayed"
    assert await mails() == [UUID(int=1), UUID(int=2)]
