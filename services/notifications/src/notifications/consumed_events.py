"""This service's own view of what orders and payments publish: only what it uses."""

from typing import Annotated, ClassVar
from uuid import UUID

from outboxed.messages import ConsumedData, ConsumedEvent
from pydantic import StringConstraints


class Customer(ConsumedData):
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")]


class OrderEvent(ConsumedEvent):
    topic: ClassVar[str] = "orders"
    key_field: ClassVar[str] = "order_id"

    order_id: UUID
    customer: Customer


class OrderConfirmed(OrderEvent):
    type: ClassVar[str] = "order.confirmed.v1"


class OrderCancelled(OrderEvent):
    type: ClassVar[str] = "order.cancelled.v1"


class PaymentRefunded(ConsumedEvent):
    type: ClassVar[str] = "payment.refunded.v1"
    topic: ClassVar[str] = "payments"
    key_field: ClassVar[str] = "order_id"

    order_id: UUID
