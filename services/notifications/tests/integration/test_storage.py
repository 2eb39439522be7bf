"""What only PostgreSQL can say: constraints, locks, and how the rows look."""

import asyncio
from uuid import uuid4

import pytest
import sqlalchemy as sa
from notifications.domain import Kind
from notifications.storage import SqlNotificationsUnitOfWork, order_notifications
from outboxed.storage import SqlTransactions, StaleAggregateError

from ..factories import NOW, OrderNotificationsFactory
from ..fakes import stored

Transactions = SqlTransactions[SqlNotificationsUnitOfWork]


async def test_the_database_itself_refuses_a_second_row_of_an_order(transactions: Transactions) -> None:
    order = OrderNotificationsFactory.create()
    await stored(transactions, order)

    row = {"id": order.id, "version": 1, "notifications": []}
    with pytest.raises(sa.exc.IntegrityError, match="order_notifications_pkey"):
        await execute(transactions, sa.insert(order_notifications).values(row))


async def execute(transactions: Transactions, statement: sa.Insert) -> None:
    async with transactions() as uow:
        await uow.connection.execute(statement)


async def test_a_row_that_was_changed_behind_its_lock_is_not_overwritten(transactions: Transactions) -> None:
    order = OrderNotificationsFactory.create()
    await stored(transactions, order)

    async def save_what_moved_on() -> None:
        async with transactions() as uow:
            await uow.connection.execute(sa.update(order_notifications).values(version=5))
            uow.notifications.save(order.failed(Kind.CONFIRMATION))

    with pytest.raises(StaleAggregateError):
        await save_what_moved_on()


async def test_looking_does_not_wait_for_who_changes(transactions: Transactions) -> None:
    order = OrderNotificationsFactory.create()
    await stored(transactions, order)

    async with transactions() as writing, transactions() as reading:
        await writing.notifications.get(order.id)
        writing.notifications.save(order.failed(Kind.CONFIRMATION))
        seen = await asyncio.wait_for(reading.notifications.find(order.id), 2)

    assert seen == order


async def test_kinds_and_statuses_are_stored_by_name(transactions: Transactions) -> None:
    order = OrderNotificationsFactory.create(id=uuid4()).sent(Kind.CONFIRMATION, "<1@shop.example>", NOW)
    await stored(transactions, order)

    async with transactions.engine.connect() as connection:
        column = (await connection.execute(sa.select(order_notifications.c.notifications))).scalar_one()

    expected = {"kind": "confirmation", "status": "sent", "message_id": "<1@shop.example>", "sent_at": NOW.isoformat()}
    assert column == [expected]
