"""Payments: one for each order, charged at most once, and returned when the order is cancelled."""

from collections.abc import Mapping
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


class PaymentInput(StrEnum):
    """What can happen to the payment of an order."""

    ORDER_PLACED = "order.placed"
    ORDER_CANCELLED = "order.cancelled"
    CHARGE_SUCCEEDED = "the charge succeeds"
    CHARGE_DECLINED = "the charge is declined"
    MONEY_RETURNED = "the refund returns money"
    NOTHING_TO_RETURN = "the refund finds nothing to return"


class GatewayCall(StrEnum):
    """A call to the gateway that an input leads to: the kind of its task."""

    CHARGE = "charge"
    REFUND = "refund"


@dataclass(frozen=True)
class Change:
    """Where an input leads: to another status, to a call, to both, or to nothing."""

    status: PaymentStatus | None = None
    call: GatewayCall | None = None


_Row = Mapping[PaymentInput, Change]
_NOTHING: _Row = {
    PaymentInput.ORDER_PLACED: Change(),
    PaymentInput.ORDER_CANCELLED: Change(),
    PaymentInput.CHARGE_SUCCEEDED: Change(),
    PaymentInput.CHARGE_DECLINED: Change(),
    PaymentInput.MONEY_RETURNED: Change(),
    PaymentInput.NOTHING_TO_RETURN: Change(),
}

TRANSITIONS: Mapping[PaymentStatus | None, _Row] = {
    None: {
        **_NOTHING,
        PaymentInput.ORDER_PLACED: Change(PaymentStatus.REQUESTED, GatewayCall.CHARGE),
        PaymentInput.ORDER_CANCELLED: Change(PaymentStatus.VOIDED),
    },
    PaymentStatus.REQUESTED: {
        **_NOTHING,
        PaymentInput.ORDER_CANCELLED: Change(PaymentStatus.VOIDED, GatewayCall.REFUND),
        PaymentInput.CHARGE_SUCCEEDED: Change(PaymentStatus.CAPTURED),
        PaymentInput.CHARGE_DECLINED: Change(PaymentStatus.DECLINED),
    },
    PaymentStatus.CAPTURED: {
        **_NOTHING,
        PaymentInput.ORDER_CANCELLED: Change(call=GatewayCall.REFUND),
        PaymentInput.MONEY_RETURNED: Change(PaymentStatus.REFUNDED),
    },
    PaymentStatus.VOIDED: {
        **_NOTHING,
        PaymentInput.MONEY_RETURNED: Change(PaymentStatus.REFUNDED),
    },
    PaymentStatus.DECLINED: _NOTHING,
    PaymentStatus.REFUNDED: _NOTHING,
}
"""For each status (None: there is no payment yet) what each input leads to. `docs/domain.md` is made of it."""


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
    """Its methods read TRANSITIONS; one that changes nothing returns the payment itself.

    `charge` is None where the order was cancelled before it was seen; `charge_id` is the gateway's.
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
        return cls._new(order_id, PaymentInput.ORDER_PLACED, charge, at)

    @classmethod
    def void_unseen(cls, order_id: UUID, at: datetime) -> Self:
        """An order was cancelled before we heard that it was placed: it must never be charged."""
        return cls._new(order_id, PaymentInput.ORDER_CANCELLED, None, at)

    def void(self, at: datetime) -> Self:
        """The order was cancelled; a charge may be under way."""
        return self._after(PaymentInput.ORDER_CANCELLED, at)

    def capture(self, charge_id: str, at: datetime) -> Self:
        """The gateway has the money."""
        return self._after(PaymentInput.CHARGE_SUCCEEDED, at, charge_id)

    def decline(self, at: datetime) -> Self:
        """The gateway refused, for good."""
        return self._after(PaymentInput.CHARGE_DECLINED, at)

    def refund(self, charge_id: str, at: datetime) -> Self:
        """The gateway returned the money of a charge."""
        return self._after(PaymentInput.MONEY_RETURNED, at, charge_id)

    def may_be_charged(self, now: datetime) -> bool:
        """Whether its order still waits for the money."""
        awaits_charge = TRANSITIONS[self.status][PaymentInput.CHARGE_SUCCEEDED].status is not None
        return awaits_charge and self.charge is not None and now < self.charge.pay_before

    @property
    def may_owe_money(self) -> bool:
        """Whether a cancelled order's money is, or may be, with the gateway."""
        return TRANSITIONS[self.status][PaymentInput.MONEY_RETURNED].status is not None

    @classmethod
    def _new(cls, order_id: UUID, input_: PaymentInput, charge: Charge | None, at: datetime) -> Self:
        status = TRANSITIONS[None][input_].status
        if status is None:
            raise ValueError(f"no payment begins with: {input_}")
        return cls(
            id=payment_id_of(order_id),
            order_id=order_id,
            status=status,
            charge=charge,
            history=(StatusChange(status, at),),
        )

    def _after(self, input_: PaymentInput, at: datetime, charge_id: str | None = None) -> Self:
        status = TRANSITIONS[self.status][input_].status
        if status is None:
            return self
        return replace(
            self,
            status=status,
            history=(*self.history, StatusChange(status, at)),
            version=self.version + 1,
            charge_id=charge_id or self.charge_id,
        )


def call_for(status: PaymentStatus | None, input_: PaymentInput) -> GatewayCall | None:
    """The call that an input leads to, in a status."""
    return TRANSITIONS[status][input_].call
