"""Tables and the SQL unit of work."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from outboxed.storage import Clock, SqlRepository, SqlUnitOfWork, Written
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from notifications.domain import Kind, Notification, OrderNotifications, Status

metadata = sa.MetaData()

order_notifications = sa.Table(
    "order_notifications",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True, comment="the order's id"),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("email", sa.Text),
    sa.Column("notifications", JSONB, nullable=False),
)


class SqlNotifications(SqlRepository[OrderNotifications]):
    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, order_notifications, to_row=_row, from_row=_order_notifications)


class SqlNotificationsUnitOfWork(SqlUnitOfWork):
    def __init__(self, connection: AsyncConnection, *, source: str, clock: Clock, now: datetime) -> None:
        super().__init__(connection, source=source, clock=clock, now=now)
        self.notifications = SqlNotifications(connection)

    def repositories(self) -> Iterable[Written]:
        """Written in this order."""
        return (self.notifications,)

    async def lock(self, keys: Sequence[str]) -> None:
        """Events are keyed by order id."""
        await self.notifications.lock(UUID(key) for key in keys)


def _row(order: OrderNotifications) -> dict[str, object]:
    return {
        "id": order.id,
        "version": order.version,
        "email": order.email,
        "notifications": [
            {
                "kind": notification.kind.value,
                "status": notification.status.value,
                "message_id": notification.message_id,
                "sent_at": notification.sent_at.isoformat() if notification.sent_at else None,
            }
            for notification in order.notifications
        ],
    }


def _order_notifications(row: Mapping[str, Any]) -> OrderNotifications:
    return OrderNotifications(
        id=row["id"],
        version=row["version"],
        email=row["email"],
        notifications=tuple(_notification(stored) for stored in row["notifications"]),
    )


def _notification(stored: dict[str, Any]) -> Notification:
    sent_at = stored["sent_at"]
    return Notification(
        kind=Kind(stored["kind"]),
        status=Status(stored["status"]),
        message_id=stored["message_id"],
        sent_at=datetime.fromisoformat(sent_at) if sent_at else None,
    )
