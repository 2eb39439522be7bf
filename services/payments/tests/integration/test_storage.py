"""What only PostgreSQL can say: constraints and locks."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
import sqlalchemy as sa
from outboxed.storage import SqlTransactions, StaleAggregateError
from payments.storage import SqlPaymentsUnitOfWork, payments

from ..factories import NOW, PaymentFactory
from ..fakes import stored

Transactions = SqlTransactions[SqlPaymentsUnitOfWork]


async def test_the_database_itself_refuses_a_second_payment_of_an_order(transactions: Transactions) -> None:
    payment = PaymentFactory.create()
    await stored(transactions, payment)

    with pytest.raises(sa.exc.IntegrityError, match="payments_order_id"):
        await stored(transactions, replace(payment, id=uuid4()))


async def test_a_row_that_was_changed_behind_its_lock_is_not_overwritten(transactions: Transactions) -> None:
    payment = PaymentFactory.create()
    await stored(transactions, payment)

    async def void() -> None:
        async with transactions() as uow:
            await uow.connection.execute(sa.update(payments).values(version=5))
            uow.payments.save(payment.void(NOW))

    with pytest.raises(StaleAggregateError):
        await void()


async def test_looking_does_not_wait_for_who_changes(transactions: Transactions) -> None:
    payment = PaymentFactory.create()
    await stored(transactions, payment)

    async with transactions() as writing, transactions() as reading:
        await writing.payments.get(payment.id)
        writing.payments.save(payment.void(NOW))
        seen = await asyncio.wait_for(reading.payments.find(payment.id), 2)

    assert seen == payment
