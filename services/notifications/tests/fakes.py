"""The ports in memory; tests/parity holds them to what the SQL ones do."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from notifications.domain import Kind, OrderNotifications
from outboxed.storage import Clock
from outboxed.testing.memory import InMemoryDatabase, InMemoryRepository, InMemoryUnitOfWork, State


class InMemoryNotificationsUnitOfWork(InMemoryUnitOfWork):
    def __init__(self, state: State, *, source: str, now: datetime) -> None:
        super().__init__(state, source=source, now=now)
        self.notifications: InMemoryRepository[OrderNotifications] = InMemoryRepository(
            state.table("order_notifications")
        )


def in_memory_notifications(clock: Clock | None = None) -> InMemoryDatabase[InMemoryNotificationsUnitOfWork]:
    return InMemoryDatabase(InMemoryNotificationsUnitOfWork, source="/notifications", clock=clock)


@dataclass(frozen=True)
class SentEmail:
    kind: Kind
    email: str
    order_id: UUID


@dataclass
class RecordingMailer:
    """A mail server's stand-in: takes everything, or raises ``error`` while it is set."""

    sent: list[SentEmail] = field(default_factory=list)
    error: Exception | None = None

    async def send_order_confirmation(self, email: str, order_id: UUID) -> str:
        return self._take(SentEmail(Kind.CONFIRMATION, email, order_id))

    async def send_order_cancellation(self, email: str, order_id: UUID) -> str:
        return self._take(SentEmail(Kind.CANCELLATION, email, order_id))

    async def send_refund_notice(self, email: str, order_id: UUID) -> str:
        return self._take(SentEmail(Kind.REFUND, email, order_id))

    def _take(self, sent: SentEmail) -> str:
        if self.error is not None:
            raise self.error
        self.sent.append(sent)
        return f"<{sent.kind.value}.{sent.order_id}@shop.example>"


async def stored(database: Any, *orders: OrderNotifications) -> None:
    async with database() as uow:
        for order in orders:
            uow.notifications.add(order)
