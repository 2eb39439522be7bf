"""The relay between PostgreSQL and Kafka: order, acknowledgements, one at a time, outages, crashes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count as counting
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed
from backing_services.kafka import MockKafka
from backing_services.waiting import eventually
from outboxed import _wakeups as signals
from outboxed._contact import KafkaContact
from outboxed.process import Metrics, Role, run_roles
from outboxed.relay import Relay
from outboxed.relay import _relay as relay_module
from outboxed.relay._rows import LOCK_ID
from outboxed.storage import tables
from outboxed.testing.services import running
from outboxed.testing.topics import Topics

from ..sample import AccountCredited
from .conftest import Transactions, abandoned_at_the_end, count, relay_of


async def append(transactions: Transactions, *keys: UUID, first: int = 1) -> None:
    async with transactions() as uow:
        for sequence, key in enumerate(keys, start=first):
            uow.events.append(AccountCredited(account_id=key), sequence=sequence)


@pytest.fixture
async def relay(topics: Topics, transactions: Transactions) -> AsyncIterator[Relay]:
    async with abandoned_at_the_end(relay_of(transactions, topics)) as relay:
        yield relay


def sequences(records: list[Any], key: UUID) -> list[int]:
    mine = [record for record in records if record.key == str(key).encode()]
    return [int(dict(record.headers)["ce_sequence"]) for record in mine]


async def test_rows_arrive_in_the_order_of_their_key_with_headers_and_key(
    transactions: Transactions, relay: Relay, topics: Topics
) -> None:
    keys = [uuid4() for _ in range(3)]
    for batch in range(4):
        await append(transactions, *(keys * 5), first=1 + batch * 15)

    assert await relay.send_once() == 60

    records = await topics.read("accounts", 60)
    assert all(sequences(records, key) == sorted(sequences(records, key)) for key in keys)
    assert {dict(record.headers)["ce_subject"] for record in records} == {str(key).encode() for key in keys}
    assert await count(transactions.engine, tables.outbox) == 0


async def test_what_was_committed_and_what_kafka_took_is_counted(transactions: Transactions, topics: Topics) -> None:
    metrics = Metrics(transactions.clock)
    counted = replace(transactions, committed=metrics.committed)
    relay = relay_of(counted, topics, metrics=metrics)

    async with running(relay.run):
        await append(counted, *(uuid4() for _ in range(3)))
        await topics.read("accounts", 3)
        await eventually(lambda: metrics.registry.get_sample_value("relay_pass_duration_seconds_count"))

    of_type, of_topic = {"type": AccountCredited.type}, {"topic": "accounts"}
    assert metrics.registry.get_sample_value("events_published_total", of_type) == 3
    assert metrics.registry.get_sample_value("outbox_sent_total", of_topic) == 3
    assert metrics.registry.get_sample_value("relay_passes_failed_total") == 0


async def test_an_appended_event_wakes_the_relay(
    transactions: Transactions, relay: Relay, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "IDLE_POLL_SECONDS", 60)
    monkeypatch.setattr(signals, "POLL_SECONDS", 60)

    async with asyncio.timeout(30), running(relay.run):
        await append(transactions, uuid4())
        await topics.read("accounts", 1)
        await append(transactions, uuid4())
        await topics.read("accounts", 2)
        await append(transactions, uuid4())  # and a last one, which ends the wait
        await topics.read("accounts", 3)
        transactions.events_appended.notify()


async def test_a_standby_does_nothing_while_another_holds_the_lock(
    transactions: Transactions, relay: Relay, topics: Topics
) -> None:
    await append(transactions, uuid4())

    async with transactions.engine.begin() as other:
        await other.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK_ID)))
        while_held = await relay.send_once()
    afterwards = await relay.send_once()

    assert (while_held, afterwards) == (0, 1)
    assert await topics.size("accounts") == 1


async def test_a_relay_that_stands_by_or_has_nothing_to_send_does_not_miss_kafka(
    transactions: Transactions, topics: Topics
) -> None:
    contact = KafkaContact(clock=counting(1).__next__)
    async with abandoned_at_the_end(relay_of(transactions, topics, contact=contact)) as relay:
        contact.failed("relay")
        lost = [contact.lost_for() > 0]
        await append(transactions, uuid4())
        async with transactions.engine.begin() as other:
            await other.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK_ID)))
            await relay.send_once()
        lost += [contact.lost_for() > 0]
        await relay.send_once()

        contact.failed("relay")  # and then somebody else has sent the row
        await relay.send_once()
        lost += [contact.lost_for() > 0]

    assert lost == [True, False, False]


async def test_many_relays_send_every_row_once(transactions: Transactions, topics: Topics) -> None:
    relays = [relay_of(transactions, topics) for _ in range(3)]

    async with running(*(relay.run for relay in relays)):
        for _ in range(5):
            await append(transactions, *(uuid4() for _ in range(20)))
        await eventually(lambda: _is_empty(transactions))

    assert await topics.size("accounts") == 100


async def _is_empty(transactions: Transactions) -> bool:
    return await count(transactions.engine, tables.outbox) == 0


@pytest.fixture
def soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "ACK_SECONDS", 0.2)


@pytest.mark.usefixtures("soon_given_up")
async def test_rows_stay_until_the_acknowledgement_and_nothing_new_is_sent_before_it(
    transactions: Transactions, own_relay: Relay, own_kafka: MockKafka, own_topics: Topics
) -> None:
    key = uuid4()
    await append(transactions, key)
    assert await own_relay.send_once() == 1
    own_kafka.set_down()
    await append(transactions, key, first=2)

    assert await own_relay.send_once() == 0
    await append(transactions, key, first=3)
    assert await own_relay.send_once() == 0
    assert await count(transactions.engine, tables.outbox) == 2
    own_kafka.set_up()
    await eventually(lambda: _sends_the_rest(own_relay, transactions))

    assert sequences(await own_topics.read("accounts", 3), key) == [1, 2, 3]
    assert await own_topics.size("accounts") == 3


async def _sends_the_rest(relay: Relay, transactions: Transactions) -> bool:
    await relay.send_once()
    return await _is_empty(transactions)


async def test_a_relay_that_starts_without_kafka_says_so_once_and_sends_when_it_comes(
    transactions: Transactions,
    own_relay: Relay,
    own_kafka: MockKafka,
    own_topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("outboxed.relay._relay.OUTAGE_SECONDS", 0.02)
    send_once, attempts = own_relay.send_once, []

    async def counted() -> int:
        attempts.append(1)
        return await send_once()

    monkeypatch.setattr(own_relay, "send_once", counted)
    own_kafka.set_down()
    await append(transactions, uuid4())

    with structlog.testing.capture_logs() as logs:
        async with running(own_relay.run):
            await eventually(lambda: len(attempts) >= 3)
            own_kafka.set_up()
            await eventually(lambda: _is_empty(transactions))

    assert await own_topics.size("accounts") == 1
    assert [line["event"] for line in logs].count("relay_failed") == 1


async def test_a_pass_that_fails_is_counted_and_not_timed(
    transactions: Transactions, own_kafka: MockKafka, own_topics: Topics
) -> None:
    metrics = Metrics(transactions.clock)
    own_kafka.set_down()
    await append(transactions, uuid4())

    async with running(relay_of(transactions, own_topics, metrics=metrics).run):
        await eventually(lambda: metrics.registry.get_sample_value("relay_passes_failed_total"))

    assert metrics.registry.get_sample_value("relay_pass_duration_seconds_count") == 0


async def test_a_relay_tells_since_when_kafka_does_not_answer_it(
    transactions: Transactions,
    own_kafka: MockKafka,
    own_topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("outboxed.relay._relay.OUTAGE_SECONDS", 0.02)
    contact = KafkaContact()
    relay = relay_of(transactions, own_topics, contact=contact)
    own_kafka.set_down()

    async with running(relay.run):
        await append(transactions, uuid4())
        await eventually(lambda: contact.lost_for() > 0)
        own_kafka.set_up()
        await eventually(lambda: _is_empty(transactions))
        at_rest = contact.lost_for()
        own_kafka.set_down()
        await append(transactions, uuid4())
        await eventually(lambda: contact.lost_for() > 0)
        own_kafka.set_up()
        await eventually(lambda: contact.lost_for() == 0)

    assert at_rest == 0


async def test_a_crash_between_acknowledgement_and_deletion_sends_the_row_again(
    transactions: Transactions, relay: Relay, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(transactions, uuid4())

    async def crash(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as crashing:
        crashing.setattr("outboxed.relay._rows.Rows.delete", crash)
        with pytest.raises(ConnectionResetError):
            await relay.send_once()
    async with abandoned_at_the_end(relay_of(transactions, topics)) as next_process:
        sent = await next_process.send_once()

    records = await topics.read("accounts", 2)
    assert sent == 1
    assert len({dict(record.headers)["ce_id"] for record in records}) == 1
    assert await _is_empty(transactions)


async def test_a_relay_stops_in_time_though_kafka_never_answers(
    transactions: Transactions, own_relay: Relay, own_kafka: MockKafka, caplog: pytest.LogCaptureFixture
) -> None:
    await append(transactions, uuid4())
    assert await own_relay.send_once() == 1
    own_kafka.set_down()
    await append(transactions, uuid4())
    before = asyncio.all_tasks()

    async def stopper(stop: Any) -> None:
        await eventually(lambda: bool(own_relay._producer.is_waiting))  # noqa: SLF001 - it has sent, and waits
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()

    # if the relay had not stopped by then, the backstop of run_roles would end this whole process
    assert await run_roles([Role("relay", own_relay.run, own_relay.grace), Role("stopper", stopper)]) == 0

    assert await count(transactions.engine, tables.outbox) == 1
    await eventually(lambda: asyncio.all_tasks() <= before, describe=lambda: str(asyncio.all_tasks() - before))
    assert not own_relay._producer.is_waiting  # noqa: SLF001 - as above
    assert not [record for record in caplog.records if "never retrieved" in record.getMessage()]


async def test_a_producer_that_can_send_nothing_more_is_replaced(
    transactions: Transactions, relay: Relay, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_batch = AIOKafkaProducer.send_batch
    producers: list[AIOKafkaProducer] = []

    async def send_unless_it_is_the_first(producer: AIOKafkaProducer, *batch: Any, **where: Any) -> Any:
        producers.append(producer)
        if producer is not producers[0]:
            return await send_batch(producer, *batch, **where)
        closed = asyncio.get_running_loop().create_future()
        closed.set_exception(ProducerClosed())
        return closed

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", send_unless_it_is_the_first)
    key = uuid4()
    await append(transactions, key)

    with pytest.raises(ProducerClosed):
        await relay.send_once()

    assert await relay.send_once() == 1
    assert sequences(await topics.read("accounts", 1), key) == [1]


async def test_a_relay_ends_that_is_cancelled_in_the_moment_its_producer_has_started(
    transactions: Transactions, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11's `asyncio.wait_for` forgets such a cancellation."""
    start = AIOKafkaProducer.start

    async def start_and_be_cancelled(producer: AIOKafkaProducer) -> None:
        await start(producer)
        asyncio.get_running_loop().call_soon(run.cancel)

    monkeypatch.setattr(AIOKafkaProducer, "start", start_and_be_cancelled)
    await append(transactions, uuid4())
    run = asyncio.create_task(relay_of(transactions, topics).run(asyncio.Event()))

    await asyncio.wait([run], timeout=10)

    assert run.cancelled()
