"""What a partition waits for that goes to another member of the group."""

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from outboxed._compat.faststream import read_again
from outboxed.consuming._kafka import MAX_RECORDS, _Handover, _parser, _rewind, subscribe
from outboxed.settings import KafkaSettings, parse_bootstrap_servers
from outboxed.testing.records import consumer_record


async def test_a_partition_waits_from_the_moment_at_which_the_client_gave_its_records() -> None:
    handover, read = _Handover(), asyncio.Event()

    async def slow(_: Any) -> Any:
        await read.wait()
        return SimpleNamespace()

    parsing = asyncio.create_task(_parser(handover)((), slow))
    await asyncio.sleep(0)  # the parser has begun, and reads
    revoked = asyncio.create_task(handover.on_partitions_revoked({"orders 0"}))
    read.set()
    await parsing

    assert not revoked.done(), "the batch's records are read, and not handled"

    handover.batch_ended()
    await revoked


async def read_at_once(_: Any) -> Any:
    return SimpleNamespace()


async def test_without_a_batch_a_partition_is_given_away_at_once() -> None:
    async with asyncio.timeout(0):
        await _Handover().on_partitions_revoked({"orders 0"})


class Broker:
    """Remembers what a subscriber is made with, and its handler."""

    def subscriber(self, *_: str, **options: Any) -> Any:
        self.options = options
        return partial(setattr, self, "handle")


class Failing:
    """In place of a consumer."""

    topics, group = ("orders",), "payments"

    async def handle(self, _: object) -> None:
        raise RuntimeError("unlucky")


def subscribed() -> Any:
    broker: Any = Broker()
    subscribe(broker, Failing(), KafkaSettings(parse_bootstrap_servers("nowhere:9092")))  # type: ignore[arg-type]
    return broker


async def test_a_batch_that_failed_holds_up_no_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outboxed.consuming._kafka.FIRST_BACKOFF", 0)
    broker = subscribed()
    await broker.options["parser"]((), read_at_once)

    with pytest.raises(RuntimeError, match="unlucky"):
        await broker.handle([], SimpleNamespace(consumer=Client(), raw_message=()))

    async with asyncio.timeout(0):
        await broker.options["listener"].on_partitions_revoked({"orders 0"})


def test_a_batch_is_no_larger_than_one_transaction_may_be() -> None:
    assert subscribed().options["max_records"] == MAX_RECORDS


class Client:
    """Kafka's client, which has some partitions and not those that have moved on."""

    def __init__(self, *moved: str) -> None:
        self.moved = moved
        self.sought: dict[str, int] = {}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition.topic in self.moved:
            raise IllegalStateError("not assigned")
        self.sought[partition.topic] = offset


@pytest.mark.parametrize("moved", ["orders", "payments", "refunds"])
async def test_of_a_batch_that_failed_each_partition_that_is_still_here_is_read_again(moved: str) -> None:
    records = [consumer_record(topic, b"{}", offset=7) for topic in ("orders", "payments", "refunds")]
    own, of_a_project = Client(moved), Client(moved)

    _rewind(own, records)
    await read_again(of_a_project, records)

    others = dict.fromkeys({"orders", "payments", "refunds"} - {moved}, 7)
    assert (own.sought, of_a_project.sought) == (others, others)
