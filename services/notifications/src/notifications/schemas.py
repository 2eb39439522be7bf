"""Responses of the HTTP API."""

from typing import Self
from uuid import UUID

from outboxed.messages import Timestamp
from pydantic import BaseModel

from notifications.domain import OrderNotifications


class NotificationResponse(BaseModel):
    order_id: UUID
    kind: str
    status: str
    email: str | None
    message_id: str | None
    sent_at: Timestamp | None


class NotificationsResponse(BaseModel):
    items: list[NotificationResponse]

    @classmethod
    def of(cls, order: OrderNotifications) -> Self:
        return cls(
            items=[
                NotificationResponse(order_id=order.id, email=order.email, **vars(notification))
                for notification in order.notifications
            ]
        )
