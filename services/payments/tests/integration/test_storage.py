"""What only PostgreSQL can say: constraints and locks."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from outboxed.storage import SqlTransactions
from payments.storage import SqlPaymentsUnitOfWork

from ..factories import PaymentFactory
from ..fakes import stored

Transactions = SqlTransactions[SqlPaymentsUnitOfWork]


async def test_pages_have_each_payment_once_in_whatever_order_they_lie_in_the_table(transactions: Transactions) -> None:
    payments = sorted((PaymentFactory.create() for _ in range(5)), key=lambda payment: payment.id)
    for payment in (*payments[3:], *payments[:3]):
        await stored(transactions, payment)
    seen: list[UUID] = []

    async with transactions(reading=True) as uow:
        while page := await uow.payments.page(after=seen[-1] if seen else None, limit=2):
            seen += [payment.id for payment in page]

    assert seen == [payment.id for payment in payments]


async def test_the_database_itself_refuses_a_second_payment_of_an_order(transactions: Transactions) -> None:
    payment = PaymentFactory.create()
    await stored(transactions, payment)

    with pytest.raises(sa.exc.IntegrityError, match="payments_order_id"):
        await stored(transactions, replace(payment, id=uuid4()))
