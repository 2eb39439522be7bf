"""What only PostgreSQL can say: constraints, locks, and how the rows look."""

from uuid import uuid4

import pytest
import sqlalchemy as sa
from notifications.domain import Kind
from notifications.storage import SqlNotificationsUnitOfWork, order_notifications
from outboxed.storage import SqlTransactions

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


async def test_kinds_and_statuses_are_stored_by_name(transactions: Transactions) -> None:
    order = OrderNotificationsFactory.create(id=uuid4()).sent(Kind.CONFIRMATION, "<1@shop.example>", NOW)
    await stored(transactions, order)

    async with transactions.engine.connect() as connection:
        column = (await connection.execute(sa.select(order_notifications.c.notifications))).scalar_one()

    expected = {"kind": "confirmation", "status": "sent", "message_id": "<1@shop.example>", "sent_at": NOW.isoformat()}
    assert column == [expected]
