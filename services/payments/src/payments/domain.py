"""Payments: one for each order, charged at most once, and returned when the order is cancelled."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Self
from uuid import UUID, uuid5


class PaymentStatus(StrEnum):
    REQUESTED = "REQUESTED"
    CAPTURED = "CAPTURED"
    DECLINED = "DECLINED"
    VOIDED = "VOIDED"
    REFUNDED = "REFUNDED"


@dataclass(frozen=True)
class StatusChange:
    """A line of a payment's history."""

    status: PaymentStatus
    at: datetime


@dataclass(frozen=True)
class Charge:
    """What to ask of the customer's payment method, until when."""

    amount: Decimal
    currency: str
    payment_method: str
    pay_before: datetime


def payment_id_of(order_id: UUID) -> UUID:
    """The same id however often it is asked for: it is also the gateway's idempotency key."""
    return uuid5(order_id, "payment")


@dataclass(frozen=True)
class Payment:
    """A transition for which domain.md's table has no entry returns the payment itself.

    ``charge`` is None where the order was cancelled before it was seen; ``charge_id`` is the gateway's.
    """

    id: UUID
    order_id: UUID
    status: PaymentStatus
    charge: Charge | None
    history: tuple[StatusChange, ...]
    version: int = 1
    charge_id: str | None = None

    @classmethod
    def request(cls, order_id: UUID, charge: Charge, at: datetime) -> Self:
        """An order wants to be paid."""
        return cls._new(order_id, PaymentStatus.REQUESTED, charge, at)

    @classmethod
    def void_unseen(cls, order_id: UUID, at: datetime) -> Self:
        """An order was cancelled before we heard that it was placed: it must never be charged."""
        return cls._new(order_id, PaymentStatus.VOIDED, None, at)

    def void(self, at: datetime) -> Self:
        """The order was cancelled; a charge may be under way."""
        return self._change(PaymentStatus.VOIDED, at) if self.status is PaymentStatus.REQUESTED else self

    def capture(self, charge_id: str, at: datetime) -> Self:
        """The gateway has the money."""
        if self.status is not PaymentStatus.REQUESTED:
            return self
        return replace(self._change(PaymentStatus.CAPTURED, at), charge_id=charge_id)

    def decline(self, at: datetime) -> Self:
        """The gateway refused, for good."""
        return self._change(PaymentStatus.DECLINED, at) if self.status is PaymentStatus.REQUESTED else self

    def refund(self, charge_id: str, at: datetime) -> Self:
        """The gateway returned the money of a charge."""
        if not self.may_owe_money:
            return self
        return replace(self._change(PaymentStatus.REFUNDED, at), charge_id=charge_id)

    def may_be_charged(self, now: datetime) -> bool:
        """Whether its order still waits for the money."""
        return self.status is PaymentStatus.REQUESTED and self.charge is not None and now < self.charge.pay_before

    @property
    def may_owe_money(self) -> bool:
        """Whether a cancelled order's money is, or may be, with the gateway."""
        return self.status in {PaymentStatus.CAPTURED, PaymentStatus.VOIDED}

    @classmethod
    def _new(cls, order_id: UUID, status: PaymentStatus, charge: Charge | None, at: datetime) -> Self:
        return cls(
            id=payment_id_of(order_id),
            order_id=order_id,
            status=status,
            charge=charge,
            history=(StatusChange(status, at),),
        )

    def _change(self, status: PaymentStatus, at: datetime) -> Self:
        change = StatusChange(status, at)
        return replace(self, status=status, history=(*self.history, change), version=self.version + 1)
