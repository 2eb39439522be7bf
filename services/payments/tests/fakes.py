"""The ports in memory; tests/parity holds them to what the SQL ones do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from outboxed.storage import Clock
from outboxed.testing.memory import InMemoryDatabase, InMemoryRepository, InMemoryUnitOfWork, State
from payments.domain import Payment, payment_id_of


class InMemoryPayments(InMemoryRepository[Payment]):
    async def page(self, *, after: UUID | None, limit: int) -> Sequence[Payment]:
        behind = sorted(key for key in self.rows if after is None or key > after)
        return [self.rows[key] for key in behind[:limit]]


class InMemoryPaymentsUnitOfWork(InMemoryUnitOfWork):
    def __init__(self, state: State, *, source: str, now: datetime) -> None:
        super().__init__(state, source=source, now=now)
        self.payments = InMemoryPayments(state.table("payments"))


def in_memory_payments(clock: Clock | None = None) -> InMemoryDatabase[InMemoryPaymentsUnitOfWork]:
    return InMemoryDatabase(InMemoryPaymentsUnitOfWork, source="/payments", clock=clock)


async def stored(database: Any, *payments: Payment) -> None:
    async with database() as uow:
        for payment in payments:
            uow.payments.add(payment)


def payment_of(order_id: UUID, database: InMemoryDatabase[InMemoryPaymentsUnitOfWork]) -> Payment:
    payment: Payment = database.state.table("payments")[payment_id_of(order_id)]
    return payment
