"""This service's own view of what payments publishes: only what it uses."""

from typing import ClassVar
from uuid import UUID

from outboxed.messages import ConsumedEvent


class PaymentEvent(ConsumedEvent):
    topic: ClassVar[str] = "payments"
    key_field: ClassVar[str] = "order_id"

    order_id: UUID


class PaymentCaptured(PaymentEvent):
    type: ClassVar[str] = "payment.captured.v1"


class PaymentDeclined(PaymentEvent):
    type: ClassVar[str] = "payment.declined.v1"
