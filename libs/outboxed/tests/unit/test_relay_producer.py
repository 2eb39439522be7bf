"""The relay's side of Kafka, with a client in place of aiokafka's."""

import asyncio
from collections.abc import Collection
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from outboxed.relay._producer import BatchProducer
from outboxed.settings import KafkaSettings

PATIENCE = 10.0


class Kafka:
    """Answers a question about a topic once it's told to."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.partitions = {0}
        self.asked = 0

    async def partitions_for(self, _: str) -> Collection[int]:
        self.asked += 1
        await self.answers.wait()
        return set(self.partitions)


def producer_on(kafka: Kafka) -> BatchProducer:
    producer = BatchProducer(KafkaSettings(("nowhere:9092",)))

    async def started() -> Kafka:
        return kafka

    producer._started = started  # type: ignore[method-assign]  # noqa: SLF001 - its own start needs a broker
    return producer


async def test_a_topic_that_is_made_larger_is_seen_soon_and_isnt_asked_about_for_each_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("outboxed.relay._producer.time", SimpleNamespace(monotonic=lambda: clock.now))
    kafka = Kafka()
    kafka.answers.set()
    producer = producer_on(kafka)
    found = []

    for now in (1000.0, 1000.9, 1005.0):
        clock.now = now
        found.append(await producer.locate(["accounts"], within=PATIENCE))
        kafka.partitions.add(1)
    await producer.abandon()

    one, other = TopicPartition("accounts", 0), TopicPartition("accounts", 1)
    assert found == [{"accounts": [one]}, {"accounts": [one]}, {"accounts": [one, other]}]
    assert kafka.asked == 2


async def test_what_was_asked_before_it_was_abandoned_is_asked_again() -> None:
    kafka = Kafka()
    producer = producer_on(kafka)
    before = await producer.locate(["accounts"], within=0)
    await producer.abandon()
    kafka.answers.set()

    assert before == {}
    assert await producer.locate(["accounts"], within=PATIENCE) == {"accounts": [TopicPartition("accounts", 0)]}
    await producer.abandon()


async def test_a_question_that_was_answered_late_is_settled_though_nobody_asks_about_its_topic_any_more() -> None:
    kafka = Kafka()
    producer = producer_on(kafka)
    await producer.locate(["accounts"], within=0)
    waited = producer.is_waiting
    kafka.answers.set()

    await producer.locate(["moves"], within=PATIENCE)

    assert waited
    assert not producer.is_waiting
    await producer.abandon()
