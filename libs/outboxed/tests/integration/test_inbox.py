"""The inbox in PostgreSQL: two owners of a partition during a rebalance, and when an event was handled."""

import asyncio
from uuid import uuid4

import sqlalchemy as sa
from outboxed.messages import EventIdentity
from outboxed.storage import tables
from outboxed.storage._inbox import SqlInbox

from .conftest import Transactions, somebody_waits


async def test_who_claims_the_same_events_at_the_same_time_waits_with_empty_hands(transactions: Transactions) -> None:
    """Whatever the order in which each names them: else both would wait, each for what the other has."""
    events = [EventIdentity("/test", str(uuid4())) for _ in range(500)]

    async def claimed_by_another() -> set[EventIdentity]:
        async with transactions() as uow:
            return await uow.inbox.insert(events)

    async with asyncio.TaskGroup() as tasks, transactions.engine.begin() as connection:
        inbox = SqlInbox(connection, transactions.clock)
        await inbox.insert([min(events)])
        late = tasks.create_task(claimed_by_another())
        await somebody_waits(transactions.engine)
        rest = await inbox.insert(events)

    assert (len(rest), late.result()) == (499, set())


async def test_an_event_is_noted_at_the_moment_and_not_when_its_transaction_began(transactions: Transactions) -> None:
    noted_later = sa.select(tables.inbox.c.handled_at > sa.func.now())

    async with transactions() as uow:
        await uow.inbox.insert([EventIdentity("/test", "1")])
        assert (await uow.connection.execute(noted_later)).scalar_one()
