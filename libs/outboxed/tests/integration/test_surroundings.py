"""What people do around a running consumer and relay; docs/reference/where-it-was-tried.md says what else was tried."""

from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, TopicPartition
from backing_services.waiting import eventually
from outboxed.relay import Relay
from outboxed.storage import tables
from outboxed.testing.services import running
from outboxed.testing.topics import Topics

from ..sample import AccountCredited, moved, raw
from .conftest import Transactions, count, role_of

BEYOND = 1_000
TAKE_A_NUMBER = sa.text("select nextval(pg_get_serial_sequence('outbox', 'id'))")
CHANGES = (
    "alter table accounts add column note text",
    "create index on accounts (balance)",
    "alter table accounts alter column balance type numeric(20, 2)",
    "alter table inbox add column note text",
    "alter table accounts drop column note",
)


async def balance(transactions: Transactions, account_id: UUID) -> int:
    async with transactions() as uow:
        account = await uow.accounts.find(account_id)
    return int(account.balance) if account else 0


async def commit(topics: Topics, offset: int) -> None:
    """For every partition, before the group has a member."""
    name = topics.kafka.topic("moves")
    options = topics.kafka.client_options()
    async with AIOKafkaConsumer(**options, group_id=topics.group, enable_auto_commit=False) as client:
        partitions = [TopicPartition(name, number) for number in range(4)]
        client.assign(partitions)
        await client.commit(dict.fromkeys(partitions, offset))


# A topic that was made again is shorter than what its group has committed.
async def test_an_offset_out_of_range_loses_no_event_and_doubles_none(
    transactions: Transactions, topics: Topics, account_id: UUID
) -> None:
    handled, waiting = moved(account_id), moved(account_id, "2.00")
    role, consumer = role_of(topics, transactions)
    await consumer.handle([raw(handled)])
    await topics.send(handled, waiting)
    await commit(topics, BEYOND)

    async with running(role.run):
        await eventually(lambda: _has(transactions, account_id, 3))

    assert await count(transactions.engine, tables.inbox) == 2
    assert await count(transactions.engine, tables.dead_letters) == 0


@pytest.mark.private_database
async def test_a_schema_that_changes_under_a_running_consumer_makes_no_dead_letter(
    transactions: Transactions, topics: Topics, account_id: UUID
) -> None:
    role, _ = role_of(topics, transactions)

    async with running(role.run):
        for number, change in enumerate(CHANGES, start=1):
            await topics.send(moved(account_id))
            await eventually(lambda number=number: committed(topics, number))  # type: ignore[misc]
            async with transactions.engine.begin() as person:
                await person.execute(sa.text(change))
        await topics.send(moved(account_id))
        await eventually(lambda: committed(topics, len(CHANGES) + 1))

    async with transactions.engine.begin() as person:
        assert await person.scalar(sa.text("select balance from accounts")) == len(CHANGES) + 1
        assert await person.scalar(sa.select(sa.func.count()).select_from(tables.dead_letters)) == 0


async def test_numbers_that_a_transaction_took_and_gave_up_hold_up_nobody(
    transactions: Transactions, topics: Topics
) -> None:
    relay = Relay(transactions.engine, topics.kafka, transactions.events_appended)
    async with running(relay.run):
        for _ in range(3):
            async with transactions.engine.begin() as given_up:
                await given_up.execute(TAKE_A_NUMBER)
            async with transactions() as uow:
                uow.events.append(AccountCredited(account_id=uuid4()), sequence=1)
        records = await topics.read("accounts", 3)

    assert len({record.key for record in records}) == 3


async def committed(topics: Topics, expected: int) -> bool:
    return await topics.committed("moves") == expected


async def _has(transactions: Transactions, account_id: UUID, expected: int) -> bool:
    return await balance(transactions, account_id) == expected
