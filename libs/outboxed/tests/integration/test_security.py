"""Kafka that demands SASL_SSL: the relay's producer and the consumer get in with it, and nobody gets in without."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from backing_services.kafka.apache import why_unavailable
from backing_services.kafka.secured import SecuredKafka
from backing_services.plugin import not_available
from backing_services.waiting import eventually
from outboxed.consuming import create_broker
from outboxed.relay import Relay
from outboxed.settings import KafkaSettings
from outboxed.testing.services import running
from outboxed.testing.topics import Topics

from ..sample import AccountCredited, moved
from .conftest import TOPICS, Transactions, role_of

pytestmark = pytest.mark.real_kafka


@pytest.fixture(scope="module")
def kafka() -> Iterator[SecuredKafka]:
    if reason := why_unavailable():
        not_available("kafka", f"a Kafka that demands SASL_SSL runs as a process only, and here is {reason}")
    with SecuredKafka() as kafka:
        yield kafka


@pytest.fixture
async def topics(kafka: SecuredKafka) -> Topics:
    made = await Topics.create(kafka, TOPICS)
    return Topics(
        replace(
            made.kafka,
            security_protocol="SASL_SSL",
            sasl_mechanism=kafka.mechanism,
            sasl_username=kafka.username,
            sasl_password=kafka.password,
            ssl_ca_file=str(kafka.ca_file),
        )
    )


async def test_the_relay_sends_and_the_consumer_consumes_over_sasl_ssl(
    topics: Topics, transactions: Transactions, account_id: UUID
) -> None:
    async with transactions() as uow:
        uow.events.append(AccountCredited(account_id=account_id), sequence=1)
    role, _ = role_of(topics, transactions)
    relay = Relay(transactions.engine, topics.kafka, transactions.events_appended)

    async def is_credited() -> bool:
        async with transactions() as uow:
            return await uow.accounts.find(account_id) is not None

    async with running(relay.run, role.run):
        await topics.send(moved(account_id))
        await eventually(is_credited)
        sent = await topics.read("accounts", 1)

    assert [record.key for record in sent] == [str(account_id).encode()]


REFUSED: dict[str, dict[str, Any]] = {
    "in plain text": {"security_protocol": "PLAINTEXT"},
    "with a login in plain text": {"security_protocol": "SASL_PLAINTEXT"},
    "without a login": {"security_protocol": "SSL"},
    "with a wrong password": {"sasl_password": "guessed"},
    "as somebody unknown": {"sasl_username": "nobody"},
    "trusting other authorities": {"ssl_ca_file": None},
}


@pytest.fixture(params=REFUSED)
def refused(request: pytest.FixtureRequest, topics: Topics) -> KafkaSettings:
    """Settings under which Kafka lets nobody in."""
    return replace(topics.kafka, **REFUSED[request.param])


async def test_no_producer_gets_in(refused: KafkaSettings) -> None:
    producer = AIOKafkaProducer(**refused.client_options(), request_timeout_ms=3000)

    with pytest.raises(KafkaError):
        await producer.start()

    await producer.stop()


async def test_no_consumer_gets_in(refused: KafkaSettings) -> None:
    broker = create_broker(refused)
    broker.subscriber("moves", group_id="test")(lambda record: None)  # noqa: ARG005 - pydantic 2.10 has no field `_`

    with pytest.raises(KafkaError):
        await broker.start()

    await broker.stop()
