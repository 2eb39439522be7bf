"""A topic that is deleted and made again: its consumers lose their partitions, and get those of the new one."""

from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from backing_services.kafka import KafkaCluster, KafkaError
from backing_services.waiting import eventually
from outboxed.consuming import ConsumerRole
from outboxed.testing.services import running
from outboxed.testing.topics import PARTITIONS, Topics

from ..sample import moved
from .conftest import TOPICS, Transactions, role_of

pytestmark = pytest.mark.real_kafka


async def delete(topics: Topics, name: str) -> None:
    client = AIOKafkaAdminClient(**topics.kafka.client_options())
    await client.start()
    try:
        await client.delete_topics([topics.kafka.topic(name)])
    finally:
        await client.close()


def assignment(role: ConsumerRole) -> object:
    """Another one after each rebalance. It need not be empty: a client's question for a topic may make it again."""
    subscriber: Any = role._subscriber  # noqa: SLF001 - nothing outside tells
    return subscriber.consumer._subscription.subscription.assignment  # noqa: SLF001


async def test_a_topic_that_was_gone_for_a_while_is_read_soon_after_it_is_back(
    transactions: Transactions, real_kafka_cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.consuming._kafka.METADATA_MS", 200)
    topics = await Topics.create(real_kafka_cluster, TOPICS)
    role, _ = role_of(topics, transactions)
    before, after = uuid4(), uuid4()

    async def is_credited(account_id: UUID) -> bool:
        async with transactions() as uow:
            return await uow.accounts.find(account_id) is not None

    async with running(role.run):
        await topics.send(moved(before, "1.00"))
        await eventually(lambda: is_credited(before))
        of_the_old_one = assignment(role)
        await delete(topics, "moves")
        await eventually(lambda: assignment(role) is not of_the_old_one)
        with suppress(KafkaError):  # a client that asked for it in between has made it
            await real_kafka_cluster.create_topics({topics.kafka.topic("moves"): PARTITIONS})
        await topics.send(moved(after, "1.00"))
        await eventually(lambda: is_credited(after))
