"""What this service publishes. A breaking change is a new type beside the old one."""

from decimal import Decimal
from typing import Any, Literal, Self
from uuid import UUID

from outboxed.messages import Amount, Event, EventData, Timestamp

from orders.domain import Order, OrderStatus


class CustomerData(EventData):
    id: UUID
    email: str
    name: str


class ItemData(EventData):
    sku: str
    quantity: int
    unit_price: Amount


class MoneyData(EventData):
    amount: Amount
    currency: str


class OrderEvent(Event, topic="orders", key_field="order_id"):
    """All events of an order share its topic and key, so they stay in order."""

    order_id: UUID
    customer: CustomerData

    @classmethod
    def _of(cls, order: Order, **data: Any) -> Self:
        customer = CustomerData(id=order.customer.id, email=order.customer.email, name=order.customer.name)
        return cls(order_id=order.id, customer=customer, **data)


class OrderPlaced(OrderEvent, type="order.placed.v1"):
    items: list[ItemData]
    total: MoneyData
    payment_method: str
    placed_at: Timestamp
    pay_before: Timestamp

    @classmethod
    def of(cls, order: Order) -> Self:
        return cls._of(
            order,
            items=[ItemData(sku=item.sku, quantity=item.quantity, unit_price=item.unit_price) for item in order.items],
            total=_total(order),
            payment_method=order.payment_method,
            placed_at=order.placed_at,
            pay_before=order.pay_before,
        )


class OrderConfirmed(OrderEvent, type="order.confirmed.v1"):
    total: MoneyData
    confirmed_at: Timestamp

    @classmethod
    def of(cls, order: Order) -> Self:
        return cls._of(order, total=_total(order), confirmed_at=order.history[-1].at)


class OrderCancelled(OrderEvent, type="order.cancelled.v1"):
    reason: Literal["payment_declined", "payment_deadline", "customer"]
    cancelled_at: Timestamp

    @classmethod
    def of(cls, order: Order) -> Self:
        reason = order.cancellation_reason
        if reason is None:
            raise ValueError(f"order {order.id} is not cancelled")
        return cls._of(order, reason=reason.value, cancelled_at=order.history[-1].at)


PUBLISHED = (OrderPlaced, OrderConfirmed, OrderCancelled)


def event_of(order: Order) -> OrderEvent:
    """The event that tells of the order's newest change: each status has one."""
    match order.status:
        case OrderStatus.PENDING:
            return OrderPlaced.of(order)
        case OrderStatus.CONFIRMED:
            return OrderConfirmed.of(order)
        case OrderStatus.CANCELLED:
            return OrderCancelled.of(order)


def _total(order: Order) -> MoneyData:
    return MoneyData(amount=Decimal(order.price.total), currency=order.currency)
