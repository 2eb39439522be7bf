"""The consumer between Kafka and PostgreSQL: offsets after the transaction, and whatever Kafka does meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from backing_services.kafka import MockKafka
from backing_services.waiting import eventually
from outboxed._last_minute import MAX_REFUSALS
from outboxed.consuming import ConsumerRole
from outboxed.process import Metrics, Role, run_roles
from outboxed.storage import tables
from outboxed.testing.records import consumer_record
from outboxed.testing.services import running
from outboxed.testing.topics import Topics

from ..sample import MoneyMoved, accounts, credit, moved
from .compat import with_bytes_changed
from .conftest import Transactions, count, role_of

OFFSET_COMMIT = 8
REBALANCE_IN_PROGRESS = 27


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at the lag often, and gives up soon."""
    monkeypatch.setattr("outboxed.consuming._kafka.LAG_EVERY", 0.02)
    monkeypatch.setattr("outboxed.consuming._kafka.IDLE_LAG_EVERY", 0.02)
    monkeypatch.setattr("outboxed.consuming._kafka.LAG_SECONDS", 0.3)


@pytest.fixture
def own_role(own_topics: Topics, transactions: Transactions) -> ConsumerRole:
    """On a Kafka that a test may take down."""
    return role_of(own_topics, transactions)[0]


async def balance(transactions: Transactions, account_id: UUID) -> Decimal | None:
    async with transactions() as uow:
        account = await uow.accounts.find(account_id)
    return account.balance if account else None


async def has(transactions: Transactions, account_id: UUID, expected: int) -> bool:
    return await balance(transactions, account_id) == expected


async def committed(topics: Topics, expected: int) -> bool:
    return await topics.committed("moves") == expected


async def test_events_are_handled_in_order_and_then_committed(transactions: Transactions, topics: Topics) -> None:
    account_id = uuid4()
    role, _ = role_of(topics, transactions)

    async with running(role.run):
        await topics.send(*(moved(account_id, f"{number}.00") for number in range(1, 5)))
        await eventually(lambda: has(transactions, account_id, 10))
        await eventually(lambda: committed(topics, 4))

    assert await count(transactions.engine, tables.inbox) == await count(transactions.engine, tables.outbox) == 4


async def test_an_idle_consumer_waits_to_be_handed_a_record_and_asks_for_none(
    transactions: Transactions, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id, asked = uuid4(), []
    getmany = AIOKafkaConsumer.getmany

    async def counted(consumer: Any, *partitions: Any, **options: Any) -> Any:
        asked.append(options)
        return await getmany(consumer, *partitions, **options)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", counted)
    monkeypatch.setattr("outboxed.consuming._kafka.ASK_EVERY_MS", 60_000)
    role, _ = role_of(topics, transactions)

    async with running(role.run):
        await eventually(lambda: role.lag == 0)
        for number in (1, 2, 3):
            await topics.send(moved(account_id, "1.00"))
            await eventually(partial(has, transactions, account_id, number))

    assert len(asked) <= 4


async def test_a_transaction_that_fails_commits_no_offset_and_the_same_batch_comes_again_which_each_outage_says_once(
    transactions: Transactions, topics: Topics
) -> None:
    account_ids = [uuid4() for _ in range(6)]
    failing = asyncio.Event()
    attempts = 0

    @asynccontextmanager
    async def flaky() -> AsyncIterator[Any]:
        nonlocal attempts
        async with transactions() as uow:
            yield uow
            if not failing.is_set():
                attempts += 1
                raise ConnectionResetError

    flaky.clock = transactions.clock  # type: ignore[attr-defined]  # role_of asks for it
    role, _ = role_of(topics, flaky)

    with structlog.testing.capture_logs() as logs:
        async with running(role.run):
            await topics.send(*(moved(account_id) for account_id in account_ids))
            await eventually(lambda: attempts >= 3)
            nothing = await topics.committed("moves")
            failing.set()
            await eventually(lambda: committed(topics, 6))

            failing.clear()
            await topics.send(moved(uuid4()))
            await eventually(lambda: [line["event"] for line in logs].count("batch_comes_again") > 1)
            failing.set()
            await eventually(lambda: committed(topics, 7))

    assert nothing == 0
    assert [line["event"] for line in logs].count("batch_comes_again") == 2
    assert [await balance(transactions, account_id) for account_id in account_ids] == [1] * 6
    assert await count(transactions.engine, tables.dead_letters) == 0


async def test_a_consumer_that_starts_before_kafka_says_so_once_and_consumes_when_it_comes(
    transactions: Transactions,
    own_role: ConsumerRole,
    own_kafka: MockKafka,
    own_topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("outboxed.consuming._kafka.START_BACKOFF", 0.02)
    account_id = uuid4()
    await own_topics.send(moved(account_id))
    own_kafka.set_down()
    start, attempts = own_role._broker.start, []  # noqa: SLF001 - several attempts are to be seen

    async def counted() -> None:
        attempts.append(1)
        await start()

    monkeypatch.setattr(own_role._broker, "start", counted)  # noqa: SLF001 - as above
    with structlog.testing.capture_logs() as logs:
        async with running(own_role.run):
            await eventually(lambda: len(attempts) >= 3)
            own_kafka.set_up()
            await eventually(lambda: has(transactions, account_id, 1))

    assert [line["event"] for line in logs].count("waiting_for_kafka") == 1


async def test_kafka_may_go_and_come_back_and_nothing_is_lost_or_done_twice(
    transactions: Transactions, own_role: ConsumerRole, own_kafka: MockKafka, own_topics: Topics, account_id: UUID
) -> None:
    async with running(own_role.run):
        await own_topics.send(moved(account_id))
        await eventually(lambda: has(transactions, account_id, 1))
        own_kafka.set_down()
        await eventually(lambda: own_role.lag is None)
        assert own_role.contact.lost_for() > 0
        own_kafka.set_up()
        await own_topics.send(moved(account_id, "2.00"))
        await eventually(lambda: has(transactions, account_id, 3))
        await eventually(lambda: own_role.contact.lost_for() == 0)


async def test_a_consumer_that_never_found_kafka_says_so(own_role: ConsumerRole, own_kafka: MockKafka) -> None:
    own_kafka.set_down()

    async with running(own_role.run):
        await eventually(lambda: own_role.contact.lost_for() > 0)
        own_kafka.set_up()
        await eventually(lambda: own_role.contact.lost_for() == 0)


async def test_a_consumer_without_partitions_says_that_kafka_went(
    transactions: Transactions, own_role: ConsumerRole, own_kafka: MockKafka, own_topics: Topics, account_id: UUID
) -> None:
    async with running(own_role.run):
        await eventually(lambda: own_role.lag == 0)
        own_role._subscriber.consumer.assignment = set  # type: ignore[union-attr]  # noqa: SLF001 - it has some
        own_kafka.set_down()
        await eventually(lambda: own_role.contact.lost_for() > 0)
        own_kafka.set_up()
        await eventually(lambda: own_role.contact.lost_for() == 0)
        await own_topics.send(moved(account_id))  # and the client has found its way back before it is closed
        await eventually(lambda: has(transactions, account_id, 1))


async def test_a_commit_that_fails_loses_nothing_and_the_next_one_makes_up_for_it(
    transactions: Transactions, own_role: ConsumerRole, own_kafka: MockKafka, own_topics: Topics, account_id: UUID
) -> None:
    async with running(own_role.run):
        own_kafka.push_request_errors(OFFSET_COMMIT, REBALANCE_IN_PROGRESS)
        await own_topics.send(moved(account_id))
        await eventually(lambda: has(transactions, account_id, 1))
        await own_topics.send(moved(account_id, "2.00"))
        await eventually(lambda: committed(own_topics, 2))

    assert await balance(transactions, account_id) == 3


async def test_lag_counts_what_is_in_hand_and_what_waits(transactions: Transactions, topics: Topics) -> None:
    metrics = Metrics(transactions.clock)
    opened = asyncio.Event()

    async def slow(event: MoneyMoved, uow: Any) -> None:
        await opened.wait()
        await credit(event, uow)

    account_id = uuid4()
    role, _ = role_of(topics, transactions, handle=slow, metrics=metrics)
    metrics.observe_lag(lambda: role.lag)

    async with running(role.run):
        await topics.send(*(moved(account_id) for _ in range(5)))
        await eventually(lambda: role.lag == 5)
        figures = (await metrics.scrape(transactions.engine, task_kinds=[])).decode()
        opened.set()
        await eventually(lambda: role.lag == 0)

    assert "\nconsumer_lag 5.0\n" in figures
    assert await balance(transactions, account_id) == 5


async def test_a_bad_deploy_halts_the_consumer_and_loses_nothing(
    transactions: Transactions, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed._last_minute.MAX_REFUSALS", 3)
    assert MAX_REFUSALS > 3
    role, consumer = role_of(topics, transactions)
    account_id = uuid4()  # one key: one partition, in order
    await topics.send(*(moved(account_id, "13.00") for _ in range(5)))

    async with running(role.run):
        await eventually(lambda: bool(consumer.progress.halted))
        await eventually(lambda: role._subscriber.consumer is None)  # noqa: SLF001 - it has left the group
    await topics.send(moved(account_id, "1.00"))

    assert 3 <= await count(transactions.engine, tables.dead_letters) <= 5
    assert await topics.committed("moves") <= 2
    assert await count(transactions.engine, accounts) == 0

    started_again, _ = role_of(topics, transactions)
    async with running(started_again.run):
        await eventually(lambda: committed(topics, 6))
    assert await balance(transactions, account_id) == 1


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_header_name_that_is_no_utf8_stops_neither_its_record_nor_its_neighbours(
    transactions: Transactions, topics: Topics, wanted: bool
) -> None:
    before, odd, after = moved(), moved(), moved()
    headers = [*odd.headers, ("XXXX", b"v")] if wanted else [("XXXX", b"v")]
    async with AIOKafkaProducer(**topics.kafka.client_options()) as producer:
        batch = producer.create_batch()
        for record in (before, consumer_record("moves", odd.value, key=odd.key, headers=headers), after):
            batch.append(key=record.key, value=record.value, timestamp=0, headers=list(record.headers))
        batch.close()
        broken = with_bytes_changed(batch, b"XXXX", b"\xff\xfe\xff\xfe")
        await (await producer.send_batch(broken, topics.kafka.topic("moves"), partition=0))
    role, _ = role_of(topics, transactions)

    async with running(role.run):
        await eventually(lambda: committed(topics, 3))

    assert await count(transactions.engine, accounts) == (3 if wanted else 2)
    assert await count(transactions.engine, tables.dead_letters) == (0 if wanted else 1)


async def test_a_consumer_stops_in_time_though_its_handler_hangs(transactions: Transactions, topics: Topics) -> None:
    entered = asyncio.Event()

    async def hangs(_: MoneyMoved, __: Any) -> None:
        entered.set()
        await anyio.sleep_forever()

    role, _ = role_of(topics, transactions, handle=hangs)
    await topics.send(moved())

    async def stopper(_: anyio.Event) -> None:
        await entered.wait()
        raise EndError

    # if the consumer had not stopped by then, the backstop of run_roles would end this whole process
    assert await run_roles([Role("consumer", role.run, 0.1), Role("stopper", stopper)]) == 1

    assert await topics.committed("moves") == 0


class EndError(Exception):
    """Ends the process of the test."""
