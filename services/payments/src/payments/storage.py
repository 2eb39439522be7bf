"""Tables and the SQL unit of work."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from outboxed.storage import Clock, SqlRepository, SqlUnitOfWork, Written
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.domain import Charge, Payment, PaymentStatus, StatusChange, payment_id_of

metadata = sa.MetaData()

payments = sa.Table(
    "payments",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("order_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("amount", sa.Numeric(20, 2)),
    sa.Column("currency", sa.Text),
    sa.Column("payment_method", sa.Text),
    sa.Column("pay_before", sa.DateTime(timezone=True)),
    sa.Column("charge_id", sa.Text),
    sa.Column("history", JSONB, nullable=False),
)


class SqlPayments(SqlRepository[Payment]):
    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, payments, to_row=_payment_row, from_row=_payment)

    async def page(self, *, after: UUID | None, limit: int) -> Sequence[Payment]:
        conditions = [] if after is None else [payments.c.id > after]
        return await self.select(*conditions, order_by=[payments.c.id], limit=limit)


class SqlPaymentsUnitOfWork(SqlUnitOfWork):
    def __init__(self, connection: AsyncConnection, *, source: str, clock: Clock, now: datetime) -> None:
        super().__init__(connection, source=source, clock=clock, now=now)
        self.payments = SqlPayments(connection)

    def repositories(self) -> Iterable[Written]:
        """Written in this order."""
        return (self.payments,)

    async def lock(self, keys: Sequence[str]) -> None:
        """Events are keyed by order id."""
        await self.payments.lock(payment_id_of(UUID(key)) for key in keys)


def _payment_row(payment: Payment) -> dict[str, object]:
    charge = payment.charge
    return {
        "id": payment.id,
        "version": payment.version,
        "order_id": payment.order_id,
        "status": payment.status.value,
        "amount": charge.amount if charge else None,
        "currency": charge.currency if charge else None,
        "payment_method": charge.payment_method if charge else None,
        "pay_before": charge.pay_before if charge else None,
        "charge_id": payment.charge_id,
        "history": [{"status": change.status.value, "at": change.at.isoformat()} for change in payment.history],
    }


def _payment(row: Mapping[str, Any]) -> Payment:
    charge = None
    if row["amount"] is not None:
        charge = Charge(row["amount"], row["currency"], row["payment_method"], row["pay_before"])
    return Payment(
        id=row["id"],
        order_id=row["order_id"],
        status=PaymentStatus(row["status"]),
        charge=charge,
        history=tuple(
            StatusChange(PaymentStatus(change["status"]), datetime.fromisoformat(change["at"]))
            for change in row["history"]
        ),
        version=row["version"],
        charge_id=row["charge_id"],
    )
