"""Responses of the HTTP API."""

from typing import Self
from uuid import UUID

from outboxed.messages import Amount, Timestamp
from pydantic import BaseModel

from payments.domain import Payment


class StatusChangeResponse(BaseModel):
    status: str
    at: Timestamp


class PaymentResponse(BaseModel):
    payment_id: UUID
    order_id: UUID
    status: str
    amount: Amount | None
    currency: str | None
    charge_id: str | None
    history: list[StatusChangeResponse]

    @classmethod
    def of(cls, payment: Payment) -> Self:
        return cls(
            payment_id=payment.id,
            order_id=payment.order_id,
            status=payment.status,
            amount=payment.charge.amount if payment.charge else None,
            currency=payment.charge.currency if payment.charge else None,
            charge_id=payment.charge_id,
            history=[StatusChangeResponse(**vars(change)) for change in payment.history],
        )


class PaymentsResponse(BaseModel):
    items: list[PaymentResponse]
