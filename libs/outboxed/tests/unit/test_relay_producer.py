"""The relay's side of Kafka, with a client in place of aiokafka's."""

import asyncio
from collections.abc import Collection

from aiokafka import TopicPartition
from outboxed.relay._producer import BatchProducer
from outboxed.settings import KafkaSettings

PATIENCE = 10.0


class Kafka:
    """Answers a question about a topic once it's told to."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()

    async def partitions_for(self, _: str) -> Collection[int]:
        await self.answers.wait()
        return {0}


async def test_what_was_asked_before_it_was_abandoned_is_asked_again() -> None:
    producer, kafka = BatchProducer(KafkaSettings(("nowhere:9092",))), Kafka()

    async def started() -> Kafka:
        return kafka

    producer._started = started  # type: ignore[method-assign]  # noqa: SLF001 - its own start needs a broker
    before = await producer.locate(["accounts"], within=0)
    await producer.abandon()
    kafka.answers.set()

    assert before == {}
    assert await producer.locate(["accounts"], within=PATIENCE) == {"accounts": [TopicPartition("accounts", 0)]}
    await producer.abandon()
