"""This service's own view of what payments publishes: only what it uses."""

from uuid import UUID

from outboxed.messages import ConsumedEvent


class PaymentEvent(ConsumedEvent, topic="payments", key_field="order_id"):
    order_id: UUID


class PaymentCaptured(PaymentEvent, type="payment.captured.v1"):
    pass


class PaymentDeclined(PaymentEvent, type="payment.declined.v1"):
    pass
