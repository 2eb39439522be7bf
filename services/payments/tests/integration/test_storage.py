"""What only PostgreSQL can say: constraints and locks."""

from dataclasses import replace
from uuid import uuid4

import pytest
import sqlalchemy as sa
from outboxed.storage import SqlTransactions
from payments.storage import SqlPaymentsUnitOfWork

from ..factories import PaymentFactory
from ..fakes import stored

Transactions = SqlTransactions[SqlPaymentsUnitOfWork]


async def test_the_database_itself_refuses_a_second_payment_of_an_order(transactions: Transactions) -> None:
    payment = PaymentFactory.create()
    await stored(transactions, payment)

    with pytest.raises(sa.exc.IntegrityError, match="payments_order_id"):
        await stored(transactions, replace(payment, id=uuid4()))
