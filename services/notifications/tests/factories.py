"""Valid objects; a test names only what it is about."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import factory
from notifications.domain import Kind, Notification, OrderNotifications
from outboxed.testing.records import event_record

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
EMAIL = "ada@example.com"


def _order_notifications(id: UUID, email: str | None, kinds: Sequence[Kind], version: int) -> OrderNotifications:  # noqa: A002 - the aggregate's name for it
    return OrderNotifications(id, email, tuple(Notification(kind) for kind in kinds), version)


class OrderNotificationsFactory(factory.Factory[OrderNotifications]):
    """An order whose e-mails of the given kinds are pending."""

    class Meta:
        model = _order_notifications

    id = factory.LazyFunction(uuid4)
    email = EMAIL
    kinds = (Kind.CONFIRMATION,)
    version = 2


def order_data(order_id: UUID, /, **changes: Any) -> dict[str, Any]:
    data = {
        "order_id": str(order_id),
        "customer": {"id": str(uuid4()), "email": EMAIL, "name": "Ada Lovelace"},
        "total": {"amount": "50.00", "currency": "EUR"},
        "confirmed_at": "2026-01-15T12:00:01.000000Z",
    }
    return {**data, **changes}


def order_confirmed(order_id: UUID, *, email: str = EMAIL, **parts: Any) -> Any:
    data = order_data(order_id, customer={"id": str(uuid4()), "email": email, "name": "Ada Lovelace"})
    return event_record("orders", "order.confirmed.v1", data, key=str(order_id), **parts)


def order_cancelled(order_id: UUID, *, email: str = EMAIL, reason: str = "payment_declined", **parts: Any) -> Any:
    data = {
        "order_id": str(order_id),
        "customer": {"id": str(uuid4()), "email": email, "name": "Ada Lovelace"},
        "reason": reason,
        "cancelled_at": "2026-01-15T12:00:02.000000Z",
    }
    return event_record("orders", "order.cancelled.v1", data, key=str(order_id), **parts)


def payment_refunded(order_id: UUID, **parts: Any) -> Any:
    data = {
        "payment_id": str(uuid4()),
        "order_id": str(order_id),
        "amount": {"amount": "50.00", "currency": "EUR"},
        "refunded_at": "2026-01-15T12:00:03.000000Z",
    }
    return event_record("payments", "payment.refunded.v1", data, key=str(order_id), **parts)
