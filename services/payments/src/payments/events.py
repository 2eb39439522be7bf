"""What this service publishes. A breaking change is a new type beside the old one."""

from typing import Any, Self
from uuid import UUID

from outboxed.messages import Amount, Event, EventData, Timestamp

from payments.domain import Payment, PaymentStatus


class MoneyData(EventData):
    amount: Amount
    currency: str


class PaymentEvent(Event, topic="payments", key_field="order_id"):
    """All events of a payment have its order's key, so they stay in order."""

    payment_id: UUID
    order_id: UUID

    @classmethod
    def _of(cls, payment: Payment, **data: Any) -> Self:
        return cls(payment_id=payment.id, order_id=payment.order_id, **data)


class PaymentCaptured(PaymentEvent, type="payment.captured.v1"):
    amount: MoneyData
    captured_at: Timestamp

    @classmethod
    def of(cls, payment: Payment) -> Self:
        return cls._of(payment, amount=_money(payment), captured_at=payment.history[-1].at)


class PaymentDeclined(PaymentEvent, type="payment.declined.v1"):
    reason: str
    declined_at: Timestamp

    @classmethod
    def of(cls, payment: Payment, reason: str) -> Self:
        return cls._of(payment, reason=reason, declined_at=payment.history[-1].at)


class PaymentRefunded(PaymentEvent, type="payment.refunded.v1"):
    amount: MoneyData
    refunded_at: Timestamp

    @classmethod
    def of(cls, payment: Payment) -> Self:
        return cls._of(payment, amount=_money(payment), refunded_at=payment.history[-1].at)


PUBLISHED = (PaymentCaptured, PaymentDeclined, PaymentRefunded)


def event_of(payment: Payment, *, reason: str = "") -> PaymentEvent | None:
    """The event that tells of the payment's newest change; None where no other service has to know of it.

    `reason` is the gateway's, for a declined one.
    """
    match payment.status:
        case PaymentStatus.REQUESTED | PaymentStatus.VOIDED:
            return None
        case PaymentStatus.CAPTURED:
            return PaymentCaptured.of(payment)
        case PaymentStatus.DECLINED:
            return PaymentDeclined.of(payment, reason)
        case PaymentStatus.REFUNDED:
            return PaymentRefunded.of(payment)


def _money(payment: Payment) -> MoneyData:
    if payment.charge is None:
        raise ValueError(f"payment {payment.id} was never requested: it has no amount")
    return MoneyData(amount=payment.charge.amount, currency=payment.charge.currency)
