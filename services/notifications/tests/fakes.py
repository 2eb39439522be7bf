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
    """A mail server's stand-in: takes everything, or raises `error` while it is set."""

    sent: list[SentEmail] = field(default_factory=list)
    error: Exception | None = None

    async def send(self, kind: Kind, email: str, order_id: UUID) -> str:
        if self.error is not None:
            raise self.error
        self.sent.append(SentEmail(kind, email, order_id))
        return f"<{kind.value}.{order_id}@shop.example>"


async def stored(database: Any, *orders: OrderNotifications) -> None:
    async with database() as uow:
        for order in orders:
            uow.notifications.add(order)
