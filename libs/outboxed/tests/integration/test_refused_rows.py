"""What becomes of a row that Kafka never takes, of the later rows of its key, and of everybody else's.

Sizes are told by Apache Kafka, where the mock takes everything; the rest is shown on the mock.
"""

import asyncio
import itertools
import json
import os
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from aiokafka import TopicPartition
from backing_services.kafka import DISCONNECT, KafkaCluster, MockKafka
from backing_services.kafka.cluster import administration_client
from backing_services.waiting import eventually
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not declared
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)
from outboxed.consuming import DeadLetterQueue
from outboxed.process import Metrics
from outboxed.relay import Relay
from outboxed.relay._flow import Batch
from outboxed.relay._partitioner import partition_of
from outboxed.relay._producer import Outcome
from outboxed.storage import DeadLetter, Edit, tables
from outboxed.testing.services import running
from outboxed.testing.topics import PARTITIONS, Topics

from ..sample import AccountCredited
from .conftest import Transactions, abandoned_at_the_end, count, keys_of, relay_of, role_of

LIMIT = 16_500
PRODUCE = 0
UNKNOWN_SERVER_ERROR = -1
MESSAGE_TOO_LARGE = 10
TOPIC_AUTHORIZATION_FAILED = 29
SMALL, HALF, LARGE = "s", "m" * 9_000, "l" * 17_000


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outboxed.relay._outcomes.FIRST_RETRY", 0.01)
    monkeypatch.setattr("outboxed.relay._outcomes.LONGEST_RETRY", 0.05)
    monkeypatch.setattr("outboxed.relay._flow.FIRST_PAUSE", 0.05)


@pytest.fixture
async def narrow_topics(real_kafka_cluster: KafkaCluster) -> Topics:
    """Apache Kafka, where the topic `accounts` takes no batch of more than LIMIT bytes."""
    topics = await Topics.create(real_kafka_cluster, ())
    client = administration_client(real_kafka_cluster.bootstrap_servers)
    # a limit that is set afterwards comes into force a moment later
    narrow = NewTopic(topics.kafka.topic("accounts"), PARTITIONS, 1, config={"max.message.bytes": str(LIMIT)})
    for created in client.create_topics([narrow]).values():
        await asyncio.to_thread(created.result)
    await real_kafka_cluster.create_topics({narrow.topic: PARTITIONS})  # which waits for its leaders
    return topics


def _widen(cluster: KafkaCluster, topic: str) -> None:
    limit = ConfigEntry("max.message.bytes", str(10 * LIMIT), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[limit])
    client = administration_client(cluster.bootstrap_servers)
    for changed in client.incremental_alter_configs([resource]).values():
        changed.result()


async def append(transactions: Transactions, *rows: tuple[UUID, int, str]) -> None:
    """A key, a sequence and an owner, whose length makes the row's size."""
    async with transactions() as uow:
        for key, sequence, owner in rows:
            uow.events.append(AccountCredited(account_id=key, owner=owner), sequence=sequence)


async def letters_of(transactions: Transactions, topics: Topics) -> tuple[DeadLetterQueue[Any], Sequence[DeadLetter]]:
    _, consumer = role_of(topics, transactions)
    queue = DeadLetterQueue(transactions, consumer)
    return queue, await queue.list(limit=1000)


async def told(topics: Topics) -> dict[UUID, list[int]]:
    """Each key's sequences as the topic has them."""
    found: dict[UUID, list[int]] = {}
    for record in await topics.read("accounts", await topics.size("accounts")):
        found.setdefault(UUID(record.key.decode()), []).append(int(dict(record.headers)["ce_sequence"]))
    return found


async def free_rows(transactions: Transactions) -> int:
    async with transactions.engine.connect() as connection:
        free = sa.select(sa.func.count()).where(tables.outbox.c.retry_at.is_(None))
        return int((await connection.execute(free)).scalar_one())


OF_PARTITIONS = pytest.mark.parametrize("others_partition", [0, 1], ids=["in one partition", "in two partitions"])
"""A batch is of one partition: in one, two keys share it, and what becomes of it."""


def outcome(transactions: Transactions, topics: Topics, *, letters: int, rows: int) -> Any:
    """Whether so many letters are open and so many rows left, all of which are held."""

    async def reached() -> bool:
        _, open_letters = await letters_of(transactions, topics)
        left = await count(transactions.engine, tables.outbox)
        return (len(open_letters), left, await free_rows(transactions)) == (letters, rows, 0)

    return reached


@OF_PARTITIONS
async def test_no_later_event_of_a_key_passes_a_row_that_is_too_large(
    transactions: Transactions, narrow_topics: Topics, others_partition: int
) -> None:
    key, other = next(keys_of(0)), next(keys_of(others_partition))
    await append(transactions, (other, 1, LARGE), (key, 1, LARGE), (key, 2, SMALL), (other, 2, SMALL), (key, 3, SMALL))

    async with running(relay_of(transactions, narrow_topics).run):
        await eventually(outcome(transactions, narrow_topics, letters=2, rows=3))

    assert await told(narrow_topics) == {}


@pytest.mark.parametrize("bad", [1, 150])
async def test_everybody_else_goes_on(transactions: Transactions, narrow_topics: Topics, bad: int) -> None:
    others = [uuid4() for _ in range(100)]
    await append(transactions, *((uuid4(), 1, LARGE) for _ in range(bad)))
    await append(transactions, *((key, sequence, SMALL) for sequence in (1, 2, 3) for key in others))
    relay = relay_of(transactions, narrow_topics)

    async with running(relay.run):
        await eventually(outcome(transactions, narrow_topics, letters=bad, rows=0), within=60)

    assert await told(narrow_topics) == {key: [1, 2, 3] for key in others}


async def test_rows_that_are_too_large_only_together_all_arrive(
    transactions: Transactions, narrow_topics: Topics
) -> None:
    key = uuid4()
    await append(transactions, *((key, sequence, HALF) for sequence in range(1, 31)))

    async with running(relay_of(transactions, narrow_topics).run):
        await eventually(outcome(transactions, narrow_topics, letters=0, rows=0))

    assert await told(narrow_topics) == {key: list(range(1, 31))}


async def test_a_row_that_is_repaired_is_sent_before_the_later_events_of_its_key(
    transactions: Transactions, narrow_topics: Topics
) -> None:
    key = uuid4()
    await append(transactions, (key, 1, SMALL), (key, 2, LARGE), (key, 3, SMALL), (key, 4, SMALL))

    async with running(relay_of(transactions, narrow_topics).run):
        await eventually(outcome(transactions, narrow_topics, letters=1, rows=2))
        queue, (letter,) = await letters_of(transactions, narrow_topics)
        repaired = AccountCredited(account_id=key, owner=SMALL).model_dump_json().encode()
        await queue.edit(letter.id, Edit(value=repaired))
        await append(transactions, (key, 5, SMALL))
        await queue.replay(letter.id)
        await eventually(outcome(transactions, narrow_topics, letters=0, rows=0))

    assert await told(narrow_topics) == {key: [1, 2, 3, 4, 5]}
    assert letter.source == "outbox"
    assert letter.reason.startswith("Kafka refused it 3 times: MessageSizeTooLargeError")


async def test_a_row_that_is_refused_again_after_its_replay_holds_its_key_again(
    transactions: Transactions, narrow_topics: Topics
) -> None:
    key = uuid4()
    await append(transactions, (key, 1, LARGE), (key, 2, SMALL))

    async with running(relay_of(transactions, narrow_topics).run):
        await eventually(outcome(transactions, narrow_topics, letters=1, rows=1))
        queue, (first,) = await letters_of(transactions, narrow_topics)
        await queue.replay(first.id)
        await eventually(outcome(transactions, narrow_topics, letters=1, rows=1))
        _, (second,) = await letters_of(transactions, narrow_topics)

    assert second.id != first.id
    assert await told(narrow_topics) == {}


async def test_after_a_row_is_discarded_the_later_events_of_its_key_are_sent(
    transactions: Transactions, narrow_topics: Topics
) -> None:
    key = uuid4()
    await append(transactions, (key, 1, LARGE), (key, 2, SMALL), (key, 3, SMALL))

    async with running(relay_of(transactions, narrow_topics).run):
        await eventually(outcome(transactions, narrow_topics, letters=1, rows=2))
        queue, (letter,) = await letters_of(transactions, narrow_topics)
        await queue.discard(letter.id)
        await eventually(outcome(transactions, narrow_topics, letters=0, rows=0))

    assert await told(narrow_topics) == {key: [2, 3]}


async def test_a_row_is_sent_once_its_topic_takes_larger_ones(
    transactions: Transactions,
    real_kafka_cluster: KafkaCluster,
    narrow_topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("outboxed.relay._outcomes.ATTEMPTS", 10_000)
    key = uuid4()
    await append(transactions, (key, 1, LARGE), (key, 2, LARGE), (key, 3, SMALL))

    async with running(relay_of(transactions, narrow_topics).run):
        await eventually(outcome(transactions, narrow_topics, letters=0, rows=3))
        await asyncio.to_thread(_widen, real_kafka_cluster, narrow_topics.kafka.topic("accounts"))
        await eventually(outcome(transactions, narrow_topics, letters=0, rows=0))

    assert await told(narrow_topics) == {key: [1, 2, 3]}


@OF_PARTITIONS
@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("headers", "[]", "its headers are no JSON object of texts"),
        ("headers", '"text"', "its headers are no JSON object of texts"),
        ("headers", '{"ce_id": 1}', "its headers are no JSON object of texts"),
        ("topic", "a b", "Kafka has no topic of that name"),
        ("topic", "", "Kafka has no topic of that name"),
    ],
)
async def test_a_row_that_no_producer_can_send_is_set_aside(
    transactions: Transactions, own_topics: Topics, column: str, value: str, reason: str, others_partition: int
) -> None:
    key, other = next(keys_of(0)), next(keys_of(others_partition))
    await append(transactions, (key, 1, SMALL), (key, 2, SMALL), (other, 1, SMALL))
    async with transactions.engine.begin() as connection:
        first = sa.select(sa.func.min(tables.outbox.c.id)).scalar_subquery()
        changed = json.loads(value) if column == "headers" else value
        await connection.execute(sa.update(tables.outbox).where(tables.outbox.c.id == first).values({column: changed}))
    waiting = 0 if column == "topic" else 1  # another topic is another order

    async with running(relay_of(transactions, own_topics).run):
        await eventually(outcome(transactions, own_topics, letters=1, rows=waiting))
        _, (letter,) = await letters_of(transactions, own_topics)

    assert reason in letter.reason
    assert (await told(own_topics))[other] == [1]


@OF_PARTITIONS
async def test_before_a_row_that_no_producer_can_send_the_earlier_ones_of_its_key_are_sent_once(
    transactions: Transactions, own_topics: Topics, others_partition: int
) -> None:
    key, other = next(keys_of(0)), next(keys_of(others_partition))
    await append(transactions, (key, 1, SMALL), (other, 1, SMALL), (key, 2, SMALL), (key, 3, SMALL), (other, 2, SMALL))
    async with transactions.engine.begin() as connection:
        second = sa.select(tables.outbox.c.id).order_by(tables.outbox.c.id).offset(2).limit(1).scalar_subquery()
        await connection.execute(sa.update(tables.outbox).where(tables.outbox.c.id == second).values(headers=[]))

    async with running(relay_of(transactions, own_topics).run):
        await eventually(outcome(transactions, own_topics, letters=1, rows=1))

    assert await told(own_topics) == {key: [1], other: [1, 2]}


async def test_a_row_of_an_impossible_topic_is_set_aside_also_while_a_partition_takes_nothing(
    transactions: Transactions,
    own_relay: Relay,
    own_topics: Topics,
    own_kafka: MockKafka,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("outboxed.relay._relay.ACK_SECONDS", 0.05)
    for partition in range(PARTITIONS):
        own_kafka.take_leader(own_topics.kafka.topic("accounts"), partition)
    await append(transactions, (uuid4(), 1, SMALL))
    await own_relay.send_once()
    await append(transactions, (uuid4(), 1, SMALL))
    newest = sa.select(sa.func.max(tables.outbox.c.id)).scalar_subquery()
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.update(tables.outbox).where(tables.outbox.c.id == newest).values(topic="no topic"))

    async def set_aside() -> bool:
        await own_relay.send_once()
        return len((await letters_of(transactions, own_topics))[1]) == 1

    await eventually(set_aside)


async def relay_all(relay: Relay, transactions: Transactions, *, left: int = 0) -> None:
    async def sent() -> bool:
        await relay.send_once()
        return await count(transactions.engine, tables.outbox) == left

    await eventually(sent)


async def test_a_topic_that_kafka_refuses_is_tried_again_and_loses_nothing(
    transactions: Transactions, own_relay: Relay, own_kafka: MockKafka, own_topics: Topics
) -> None:
    key = uuid4()
    await append(transactions, *((key, sequence, SMALL) for sequence in range(1, 101)))
    own_kafka.push_request_errors(PRODUCE, *[TOPIC_AUTHORIZATION_FAILED] * 3)

    await relay_all(own_relay, transactions)

    assert await told(own_topics) == {key: list(range(1, 101))}
    assert (await letters_of(transactions, own_topics))[1] == []


async def test_a_topic_is_refused_by_the_name_that_the_service_knows_without_the_clusters_prefix(
    transactions: Transactions, own_relay: Relay, own_kafka: MockKafka
) -> None:
    await append(transactions, (uuid4(), 1, SMALL))
    own_kafka.push_request_errors(PRODUCE, TOPIC_AUTHORIZATION_FAILED)

    await own_relay.send_once()

    assert own_relay._flow.paused_topics() == ["accounts"]  # noqa: SLF001 - nothing else tells what isn't tried


async def test_a_topic_that_kafka_refuses_holds_up_no_other_topic(
    transactions: Transactions, narrow_topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.relay._relay.ACK_SECONDS", 0.1)
    monkeypatch.setattr("outboxed.relay._relay.SCAN", 100)  # fewer than it has rows
    monkeypatch.setattr("outboxed.relay._flow.FIRST_PAUSE", 10.0)  # longer than all else here
    refused, key = uuid4(), uuid4()
    await append(transactions, *((refused, sequence, SMALL) for sequence in range(1, 301)))
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.update(tables.outbox).values(topic="x" * 249))  # with its prefix it is too long

    relay = relay_of(transactions, narrow_topics)
    async with running(relay.run):
        await eventually(lambda: bool(relay._flow.paused_topics()))  # noqa: SLF001 - it knows that Kafka refuses it
        await append(transactions, *((key, sequence, SMALL) for sequence in range(1, 31)))
        await eventually(lambda: _count_is(transactions, 300))

    assert await told(narrow_topics) == {key: list(range(1, 31))}
    assert (await letters_of(transactions, narrow_topics))[1] == []


async def _count_is(transactions: Transactions, rows: int) -> bool:
    return await count(transactions.engine, tables.outbox) == rows


async def test_a_partition_without_a_leader_holds_up_no_other_and_goes_on_in_order(
    transactions: Transactions,
    own_relay: Relay,
    own_kafka: MockKafka,
    own_topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("outboxed.relay._relay.ACK_SECONDS", 0.1)
    topic = own_topics.kafka.topic("accounts")
    waiting, *of_others = [[*itertools.islice(keys_of(partition), 10)] for partition in range(PARTITIONS)]
    others = [*itertools.chain(*of_others)]
    await append(transactions, *((key, 1, SMALL) for key in (*waiting, *others)))
    await relay_all(own_relay, transactions)
    own_kafka.take_leader(topic, 0)
    await append(transactions, *((key, sequence, SMALL) for sequence in (2, 3, 4, 5) for key in waiting))
    await append(transactions, *((key, 2, SMALL) for key in others))

    await relay_all(own_relay, transactions, left=4 * len(waiting))
    own_kafka.give_leader(topic, 0)
    await relay_all(own_relay, transactions)

    seen = await told(own_topics)
    assert {key: list(dict.fromkeys(seen[key])) for key in waiting} == {key: [1, 2, 3, 4, 5] for key in waiting}
    assert {key: seen[key] for key in others} == {key: [1, 2] for key in others}


async def test_a_batch_without_an_answer_is_not_sent_again_before_it_has_one(
    transactions: Transactions, own_kafka: MockKafka, own_topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.relay._relay.ACK_SECONDS", 0.1)
    seconds = itertools.count(step=1.0)  # at each look at the clock every pause is over
    key = uuid4()
    await append(transactions, (key, 1, SMALL))
    async with abandoned_at_the_end(relay_of(transactions, own_topics, clock=lambda: next(seconds))) as relay:
        await relay_all(relay, transactions)
        partition = own_topics.kafka.topic("accounts"), partition_of(str(key).encode(), PARTITIONS)
        own_kafka.take_leader(*partition)
        await append(transactions, (key, 2, SMALL), (key, 3, SMALL))
        begun, send = [], relay._producer.send  # noqa: SLF001 - a second batch may still arrive in order by chance

        async def noted(batch: Batch) -> Sequence[Outcome]:
            begun.append(len(batch.rows))
            return await send(batch)

        monkeypatch.setattr(relay._producer, "send", noted)  # noqa: SLF001 - as above
        await relay.send_once()
        await append(transactions, (key, 4, SMALL))
        await relay.send_once()
        assert begun == [2]
        own_kafka.give_leader(*partition)
        await relay_all(relay, transactions)

    assert await told(own_topics) == {key: [1, 2, 3, 4]}


@pytest.mark.parametrize("step", [0.001, 0.002, 0.004])
async def test_a_pause_that_ends_while_rows_are_chosen_lets_none_pass_an_earlier_one(
    transactions: Transactions, own_topics: Topics, step: float
) -> None:
    """`make faults`, seed 99: of a backlog its later half was sent first."""
    seconds = itertools.count(step=step)
    key, sequences = uuid4(), range(1, 61)
    await append(transactions, *((key, sequence, SMALL) for sequence in sequences))
    async with abandoned_at_the_end(relay_of(transactions, own_topics, clock=lambda: next(seconds))) as relay:
        for partition in range(PARTITIONS):
            relay._flow.pause(TopicPartition(own_topics.kafka.topic("accounts"), partition), growing=False)  # noqa: SLF001 - as after a leader's absence

        await relay_all(relay, transactions)

    assert (await told(own_topics))[key] == [*sequences]


async def test_each_answer_by_which_kafka_refuses_a_row_alone_is_counted(
    transactions: Transactions, own_kafka: MockKafka, own_topics: Topics
) -> None:
    metrics = Metrics(transactions.clock)
    await append(transactions, (uuid4(), 1, LARGE))
    own_kafka.push_request_errors(PRODUCE, MESSAGE_TOO_LARGE)

    async with abandoned_at_the_end(relay_of(transactions, own_topics, metrics=metrics)) as relay:
        await relay.send_once()

    assert metrics.registry.get_sample_value("outbox_refused_total", {"topic": "accounts"}) == 1
    assert metrics.registry.get_sample_value("outbox_sent_total", {"topic": "accounts"}) is None


async def test_of_a_partitions_rows_that_are_tried_again_the_oldest_goes_first(
    transactions: Transactions, own_relay: Relay, own_topics: Topics
) -> None:
    first, second = itertools.islice(keys_of(0), 2)
    await append(transactions, (first, 1, SMALL), (second, 1, SMALL))
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.update(tables.outbox).values(retry_at=sa.func.now()))

    await own_relay.send_once()

    assert await told(own_topics) == {first: [1]}


@OF_PARTITIONS
async def test_a_row_that_is_known_to_be_too_large_waits_for_the_earlier_ones_of_its_key(
    transactions: Transactions,
    own_relay: Relay,
    own_kafka: MockKafka,
    own_topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
    others_partition: int,
) -> None:
    key, other = next(keys_of(0)), next(keys_of(others_partition))
    await append(transactions, (other, 1, LARGE))
    own_kafka.push_request_errors(PRODUCE, MESSAGE_TOO_LARGE)
    await own_relay.send_once()
    monkeypatch.setattr(own_relay, "_look_at", float("inf"))  # the other one's next attempt must not get this answer
    await append(transactions, (key, 1, SMALL), (key, 2, LARGE))
    own_kafka.push_request_errors(PRODUCE, TOPIC_AUTHORIZATION_FAILED)
    await own_relay.send_once()
    monkeypatch.setattr(own_relay, "_look_at", 0.0)

    await relay_all(own_relay, transactions)  # Kafka takes larger ones by now

    assert await told(own_topics) == {other: [1], key: [1, 2]}


@pytest.mark.parametrize(("takes_others", "letters"), [(True, 1), (False, 0)])
async def test_an_error_that_kafka_does_not_name_counts_only_if_the_partition_takes_others(
    transactions: Transactions,
    own_relay: Relay,
    own_kafka: MockKafka,
    own_topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
    *,
    takes_others: bool,
    letters: int,
) -> None:
    monkeypatch.setattr("outboxed.relay._outcomes.UNNAMED_ATTEMPTS", 3)
    monkeypatch.setattr("outboxed.relay._outcomes.LONGEST_RETRY", 0.0)
    refused, other = itertools.islice(keys_of(0), 2)
    await append(transactions, (refused, 1, SMALL))
    for attempt in range(3):
        own_kafka.push_request_errors(PRODUCE, UNKNOWN_SERVER_ERROR)
        await own_relay.send_once()
        if takes_others and attempt == 1:
            monkeypatch.setattr(own_relay, "_look_at", float("inf"))
            await append(transactions, (other, 1, SMALL))
            await own_relay.send_once()
            monkeypatch.setattr(own_relay, "_look_at", 0.0)

    assert len((await letters_of(transactions, own_topics))[1]) == letters


async def test_a_relay_that_takes_over_knows_what_is_held(transactions: Transactions, narrow_topics: Topics) -> None:
    key = uuid4()
    await append(transactions, (key, 1, LARGE), (key, 2, SMALL))

    async with abandoned_at_the_end(relay_of(transactions, narrow_topics)) as first:
        await first.send_once()  # both rows together
        await first.send_once()  # the large one alone
        await append(transactions, (key, 3, SMALL))
        async with running(relay_of(transactions, narrow_topics).run):
            await eventually(outcome(transactions, narrow_topics, letters=1, rows=2))

    assert await told(narrow_topics) == {}


ANSWERS = (
    MESSAGE_TOO_LARGE,
    UNKNOWN_SERVER_ERROR,
    TOPIC_AUTHORIZATION_FAILED,
    2,  # a corrupt record
    6,  # not the leader
    7,  # the request took too long
    19,  # too few replicas
    DISCONNECT,
)


async def test_whatever_kafka_answers_no_event_passes_an_earlier_one_of_its_key(
    transactions: Transactions, own_kafka: MockKafka, own_topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.relay._outcomes.ATTEMPTS", 10_000)
    monkeypatch.setattr("outboxed.relay._outcomes.UNNAMED_ATTEMPTS", 10_000)
    seed = int(os.environ.get("REFUSALS_SEED") or random.randrange(2**16))  # noqa: S311 - a schedule, no secret
    chance = random.Random(seed)  # noqa: S311 - as above
    keys = [uuid4() for _ in range(6)]
    relays = [relay_of(transactions, own_topics) for _ in range(2)]

    async with running(*(relay.run for relay in relays)):
        for sequence in range(1, 41):
            await append(transactions, *((key, sequence, "x" * chance.randrange(900)) for key in keys))
            own_kafka.push_request_errors(PRODUCE, *chance.choices(ANSWERS, k=chance.randrange(4)))
        own_kafka.clear_request_errors(PRODUCE)
        await eventually(outcome(transactions, own_topics, letters=0, rows=0))

    first = {key: list(dict.fromkeys(seen)) for key, seen in (await told(own_topics)).items()}
    assert first == {key: list(range(1, 41)) for key in keys}, f"REFUSALS_SEED={seed} repeats the answers"
