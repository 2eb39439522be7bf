"""The mailer with its inbox: Kafka gives it an event twice."""

from collections.abc import AsyncIterator
from importlib import import_module
from types import ModuleType
from uuid import UUID

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


async def test_an_event_that_comes_twice_takes_effect_once(mailer: ModuleType) -> None:
    async def mails() -> list[UUID]:
        async with mailer.sessions() as session:
            return list((await session.execute(sa.select(mailer.Mail.order_id).order_by(mailer.Mail.id))).scalars())

    async with AIOKafkaProducer(bootstrap_servers=mailer.KAFKA) as producer:
        for number in (1, 1, 2):
            body = mailer.OrderPlaced(order_id=UUID(int=number)).model_dump_json().encode()
            await producer.send_and_wait("orders", body, headers=[("ce_id", b"%d" % number)])

    async def both() -> bool:
        return UUID(int=2) in await mails()

    await mailer.broker.start()
    await eventually(both)
    await mailer.broker.stop()

    assert await mails() == [UUID(int=1), UUID(int=2)]
