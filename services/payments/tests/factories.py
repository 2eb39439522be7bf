"""Valid objects; a test names only what it is about."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import factory
from outboxed.messages import rfc3339
from outboxed.testing.records import event_record
from payments.domain import Charge, Payment, PaymentStatus

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
CHARGE_ID = "ch_1"


def in_time() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=15)


class ChargeFactory(factory.Factory[Charge]):
    class Meta:
        model = Charge

    amount = Decimal("50.00")
    currency = "CHF"  # not the shop's own: nothing here may know that
    payment_method = "pm_card_ok"
    pay_before = factory.LazyFunction(in_time)


class PaymentFactory(factory.Factory[Payment]):
    """A REQUESTED payment; PAYMENTS takes it further through its real transitions."""

    class Meta:
        model = Payment.request

    order_id = factory.LazyFunction(uuid4)
    charge: Any = factory.SubFactory(ChargeFactory)
    at = NOW


def voided_unseen(order_id: UUID | None = None) -> Payment:
    """Of an order that was cancelled before it was seen to be placed."""
    return Payment.void_unseen(order_id or uuid4(), NOW)


PAYMENTS: dict[PaymentStatus, Callable[..., Payment]] = {
    PaymentStatus.REQUESTED: PaymentFactory.create,
    PaymentStatus.CAPTURED: lambda **parts: PaymentFactory.create(**parts).capture(CHARGE_ID, NOW),
    PaymentStatus.DECLINED: lambda **parts: PaymentFactory.create(**parts).decline(NOW),
    PaymentStatus.VOIDED: lambda **parts: PaymentFactory.create(**parts).void(NOW),
    PaymentStatus.REFUNDED: lambda **parts: PaymentFactory.create(**parts).void(NOW).refund(CHARGE_ID, NOW),
}


def order_placed_data(order_id: UUID, **changes: Any) -> dict[str, Any]:
    data = {
        "order_id": str(order_id),
        "customer": {"id": str(uuid4()), "email": "ada@example.com", "name": "Ada Lovelace"},
        "items": [{"sku": "ABC", "quantity": 2, "unit_price": "25.00"}],
        "total": {"amount": "50.00", "currency": "EUR"},
        "payment_method": "pm_card_ok",
        "placed_at": rfc3339(NOW),
        "pay_before": rfc3339(in_time()),
    }
    return {**data, **changes}


def order_cancelled_data(order_id: UUID) -> dict[str, Any]:
    return {
        "order_id": str(order_id),
        "customer": {"id": str(uuid4()), "email": "ada@example.com", "name": "Ada Lovelace"},
        "reason": "customer",
        "cancelled_at": rfc3339(NOW),
    }


def order_placed(
    order_id: UUID, *, event_id: str | None = None, payment_method: str = "pm_card_ok", amount: str = "50.00"
) -> Any:
    total = {"amount": amount, "currency": "EUR"}
    data = order_placed_data(order_id, payment_method=payment_method, total=total)
    return event_record("orders", "order.placed.v1", data, key=str(order_id), event_id=event_id)


def order_cancelled(order_id: UUID, *, event_id: str | None = None) -> Any:
    data = order_cancelled_data(order_id)
    return event_record("orders", "order.cancelled.v1", data, key=str(order_id), event_id=event_id)
