"""Where the reading of the topics begins, where it goes on, and when it ends: what was read isn't read again."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from backing_services.waiting import eventually
from outboxed.settings import KafkaSettings, parse_bootstrap_servers
from shop_console import topics
from shop_console.index import Index
from shop_console.topics import BEFORE, LOOK_UP_SECONDS, RECORDS_OF_AN_ORDER, Follower, look_up

ORDERS = TopicPartition("orders", 0)
ORDERS_OF_A_RECORD = SimpleNamespace(topic="orders")
SETTINGS = KafkaSettings(parse_bootstrap_servers("127.0.0.1:1"))


def record(offset: int) -> Any:
    return SimpleNamespace(
        topic=ORDERS_OF_A_RECORD.topic,
        partition=ORDERS.partition,
        offset=offset,
        key=str(offset).encode(),
        value=b"{}",
        headers=(("ce_type", b"order.placed.v1"),),
        timestamp=1_700_000_000_000 + offset,
    )


class Kafka:
    """A topic with some records, whose connection breaks after each batch until it is `calm`; `away` refuses any."""

    def __init__(self, *, begin: int = 0, end: int) -> None:
        self.begin, self.end = begin, end
        self.sought: list[int] = []
        self.batch, self.calm, self.away = 2, False, False

    async def __aenter__(self) -> Self:
        if self.away:
            raise KafkaConnectionError
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def assignment(self) -> set[TopicPartition]:
        return {ORDERS}

    async def beginning_offsets(self, _: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {ORDERS: self.begin}

    async def end_offsets(self, _: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {ORDERS: self.end}

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.sought.append(offset)
        self._next, self._batches = offset, 0

    async def getmany(self, **_: object) -> Mapping[TopicPartition, Sequence[Any]]:
        await asyncio.sleep(0)
        if self._batches and not self.calm:
            raise KafkaConnectionError
        self._batches += 1
        given = range(self._next, min(self._next + self.batch, self.end))
        self._next += len(given)
        return {ORDERS: [record(offset) for offset in given]}


@asynccontextmanager
async def following(
    monkeypatch: pytest.MonkeyPatch, kafka: Kafka, index: Index, *, kept: int = 100
) -> AsyncIterator[Follower]:
    """A follower that tries again at once."""
    monkeypatch.setattr(topics, "_consumer", lambda *_: kafka)
    monkeypatch.setattr(topics, "AGAIN_SECONDS", 0)
    follower = Follower(SETTINGS, index, kept)
    follower.follow(["orders"])
    running = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def followed(monkeypatch: pytest.MonkeyPatch, kafka: Kafka, *, kept: int = 100, until: int) -> Index:
    """What a follower has read once it knows so many orders."""
    index = Index(kept)
    async with following(monkeypatch, kafka, index, kept=kept):
        await eventually(lambda: len(index) >= until)
    return index


async def test_after_an_outage_it_goes_on_behind_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = Kafka(end=5)

    index = await followed(monkeypatch, kafka, until=5)

    assert kafka.sought[:3] == [0, 2, 4]
    assert index.version == 5, "each record was counted once"


async def test_of_a_long_topic_the_newest_orders_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = Kafka(begin=3, end=1000)
    kafka.calm = True

    await followed(monkeypatch, kafka, kept=10, until=10)

    assert kafka.sought == [1000 - 10 * RECORDS_OF_AN_ORDER - 1]


async def test_a_topic_that_was_made_again_is_read_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    class MadeAgain(Kafka):
        async def __aenter__(self) -> Self:
            if self.sought:
                self.end = 1
            return await super().__aenter__()

    kafka = MadeAgain(end=4)
    kafka.batch = 4

    async with following(monkeypatch, kafka, Index(100)):
        await eventually(lambda: len(kafka.sought) >= 2)

    assert kafka.sought[:2] == [0, 0]


async def test_while_kafka_is_away_there_is_a_problem_and_none_before_or_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages show it with orders that may be old, and readiness follows it."""
    kafka = Kafka(end=2)
    kafka.calm = True

    async with following(monkeypatch, kafka, Index(100)) as follower:
        await eventually(lambda: follower.problem == "")
        kafka.away, kafka.calm = True, False
        await eventually(lambda: follower.problem == "Kafka does not answer: KafkaConnectionError", within=5)
        kafka.away, kafka.calm = False, True
        await eventually(lambda: follower.problem == "", within=5)


# --- an older order ---

SINCE = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


class Archive(Kafka):
    """A topic whose records since SINCE begin at offset 3; `stuck` has a partition that gives nothing."""

    def __init__(self, *, end: int, stuck: bool = False) -> None:
        super().__init__(end=end)
        self.stuck, self.calm = stuck, True
        self.asked: list[Mapping[TopicPartition, int]] = []

    async def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, Any]:
        self.asked.append(times)
        return {ORDERS: SimpleNamespace(offset=3)}

    async def position(self, _: TopicPartition) -> int:
        return self._next

    async def getmany(self, **options: object) -> Mapping[TopicPartition, Sequence[Any]]:
        return {ORDERS: []} if self.stuck else await super().getmany(**options)


async def test_an_older_order_is_looked_up_from_its_time_on_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = Archive(end=6)
    monkeypatch.setattr(topics, "_consumer", lambda *_: kafka)

    found = await look_up(SETTINGS, ["orders"], "4", since=SINCE)

    assert kafka.asked == [{ORDERS: int((SINCE - BEFORE).timestamp() * 1000)}]
    assert kafka.sought == [3]
    assert ([seen.key for seen in found.records], found.whole) == (["4"], True)


async def test_a_look_up_that_gets_nothing_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = Archive(end=6, stuck=True)
    monkeypatch.setattr(topics, "_consumer", lambda *_: kafka)
    loop = asyncio.get_running_loop()
    began, turns = loop.time(), 0

    def later() -> float:
        nonlocal turns
        turns += 1
        assert turns < 100, "it never ends"
        return began + turns * LOOK_UP_SECONDS / 4

    monkeypatch.setattr(loop, "time", later)
    found = await look_up(SETTINGS, ["orders"], "4", since=SINCE)

    assert (found.records, found.whole) == ([], False)


async def test_on_a_shared_cluster_topics_are_read_under_its_prefix_and_told_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = KafkaSettings(parse_bootstrap_servers("127.0.0.1:1"), topic_prefix="shop-")
    read: list[tuple[str, ...]] = []
    monkeypatch.setattr(ORDERS_OF_A_RECORD, "topic", "shop-orders")

    def consumer(*names: str, **_: object) -> Archive:
        read.append(names)
        return Archive(end=6)

    monkeypatch.setattr(topics, "AIOKafkaConsumer", consumer)
    found = await look_up(settings, ["orders", "payments"], "4", since=SINCE)

    assert read == [("shop-orders", "shop-payments")]
    assert [seen.record.topic for seen in found.records] == ["orders"]
