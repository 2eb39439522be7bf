"""This service's own view of what orders and payments publish: only what it uses."""

from typing import Annotated
from uuid import UUID

from outboxed.messages import ConsumedData, ConsumedEvent
from pydantic import StringConstraints


class Customer(ConsumedData):
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")]


class OrderEvent(ConsumedEvent, topic="orders", key_field="order_id"):
    order_id: UUID
    customer: Customer


class OrderConfirmed(OrderEvent, type="order.confirmed.v1"):
    pass


class OrderCancelled(OrderEvent, type="order.cancelled.v1"):
    pass


class PaymentRefunded(ConsumedEvent, type="payment.refunded.v1", topic="payments", key_field="order_id"):
    order_id: UUID
