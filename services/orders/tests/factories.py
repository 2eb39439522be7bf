"""Valid objects; a test names only what it is about."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import factory
from orders.domain import Customer, Order, OrderItem, Product, User, subtotal_of
from orders.pricing import PricingService
from outboxed.testing.records import event_record

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
PASSWORD = "correct horse"


class UserFactory(factory.Factory[User]):
    class Meta:
        model = User

    id = factory.LazyFunction(uuid4)
    email = factory.Sequence(lambda n: f"customer{n}@example.com")
    name = "Ada Lovelace"
    password_hash = f"plain:{PASSWORD}"
    created_at = NOW


class ProductFactory(factory.Factory[Product]):
    class Meta:
        model = Product

    sku = factory.Sequence(lambda n: f"SKU-{n}")
    name = "Blue mug"
    unit_price = Decimal("25.00")


class OrderItemFactory(factory.Factory[OrderItem]):
    class Meta:
        model = OrderItem

    sku = factory.Sequence(lambda n: f"SKU-{n}")
    quantity = 2
    unit_price = Decimal("25.00")


class CustomerFactory(factory.Factory[Customer]):
    class Meta:
        model = Customer

    id = factory.LazyFunction(uuid4)
    email = factory.Sequence(lambda n: f"customer{n}@example.com")
    name = "Ada Lovelace"


def _place(**parts: Any) -> Order:
    price = PricingService().calculate_total(subtotal_of(parts["items"]), parts.pop("is_member"))
    return Order.place(price=price, **parts)


class OrderFactory(factory.Factory[Order]):
    """A PENDING order; confirmed_order and cancelled_order take it further through its real transitions."""

    class Meta:
        model = _place

    order_id = factory.LazyFunction(uuid4)
    customer: Any = factory.SubFactory(CustomerFactory)
    items = factory.LazyFunction(lambda: [OrderItemFactory.create()])
    is_member = False
    payment_method = "pm_card_ok"
    at = NOW
    payment_deadline = timedelta(minutes=15)


def confirmed_order(**parts: Any) -> Order:
    return OrderFactory.create(**parts).confirm(NOW)


def cancelled_order(**parts: Any) -> Order:
    return OrderFactory.create(**parts).cancel(NOW)


def payment_captured(order_id: UUID, **parts: Any) -> Any:
    data = {
        "payment_id": str(uuid4()),
        "order_id": str(order_id),
        "amount": {"amount": "50.00", "currency": "EUR"},
        "captured_at": "2026-01-15T12:00:01Z",
    }
    return event_record("payments", "payment.captured.v1", data, key=str(order_id), **parts)


def payment_declined(order_id: UUID, **parts: Any) -> Any:
    data = {
        "payment_id": str(uuid4()),
        "order_id": str(order_id),
        "reason": "card_declined",
        "declined_at": "2026-01-15T12:00:01Z",
    }
    return event_record("payments", "payment.declined.v1", data, key=str(order_id), **parts)
