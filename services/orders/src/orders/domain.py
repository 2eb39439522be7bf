"""Orders and users: the rules that hold whatever framework, database or broker is around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Self
from uuid import UUID

from orders.pricing import Price

CURRENCY = "EUR"


class OrderStatus(StrEnum):
    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"


class CancellationReason(StrEnum):
    PAYMENT_DECLINED = "payment_declined"
    PAYMENT_DEADLINE = "payment_deadline"
    CUSTOMER = "customer"


class OrderInput(StrEnum):
    """What can happen to an order."""

    PAYMENT_CAPTURED = "payment.captured"
    PAYMENT_DECLINED = "payment.declined"
    DEADLINE_PASSED = "the payment deadline passes"
    CANCEL_CALL = "its customer cancels"


@dataclass(frozen=True)
class Change:
    """Where an input leads."""

    status: OrderStatus
    reason: CancellationReason | None = None


TRANSITIONS: Mapping[OrderStatus, Mapping[OrderInput, Change | None]] = {
    OrderStatus.PENDING: {
        OrderInput.PAYMENT_CAPTURED: Change(OrderStatus.CONFIRMED),
        OrderInput.PAYMENT_DECLINED: Change(OrderStatus.CANCELLED, CancellationReason.PAYMENT_DECLINED),
        OrderInput.DEADLINE_PASSED: Change(OrderStatus.CANCELLED, CancellationReason.PAYMENT_DEADLINE),
        OrderInput.CANCEL_CALL: Change(OrderStatus.CANCELLED, CancellationReason.CUSTOMER),
    },
    OrderStatus.CONFIRMED: {
        OrderInput.PAYMENT_CAPTURED: None,
        OrderInput.PAYMENT_DECLINED: None,
        OrderInput.DEADLINE_PASSED: None,
        OrderInput.CANCEL_CALL: Change(OrderStatus.CANCELLED, CancellationReason.CUSTOMER),
    },
    OrderStatus.CANCELLED: {
        OrderInput.PAYMENT_CAPTURED: None,  # too late: payments hears of the cancellation and returns the money
        OrderInput.PAYMENT_DECLINED: None,
        OrderInput.DEADLINE_PASSED: None,
        OrderInput.CANCEL_CALL: None,
    },
}
"""For each status what each input changes; None: nothing. `docs/domain.md` is made of it."""


class UserRole(StrEnum):
    CUSTOMER = "customer"
    OPERATOR = "operator"


class EmailTakenError(Exception):
    """Somebody has an account under this address."""


class UserNotFoundError(Exception):
    """No such user, or none that the caller may see."""


class OrderNotFoundError(Exception):
    """No such order, or none that the caller may see."""


class UnknownSkuError(Exception):
    """An order asks for what the shop doesn't sell."""

    def __init__(self, skus: Sequence[str]) -> None:
        super().__init__(f"unknown sku: {', '.join(skus)}")
        self.skus = tuple(skus)


@dataclass(frozen=True)
class User:
    """A person with an account; `email` is unique whatever its case."""

    id: UUID
    email: str
    name: str
    password_hash: str = field(repr=False)
    created_at: datetime
    role: UserRole = UserRole.CUSTOMER
    is_member: bool = False
    is_active: bool = True
    version: int = 1

    def with_membership(self, *, is_member: bool) -> Self:
        """Membership as given; itself where nothing changes."""
        if is_member == self.is_member:
            return self
        return replace(self, is_member=is_member, version=self.version + 1)


@dataclass(frozen=True)
class Customer:
    """Who ordered, as of then."""

    id: UUID
    email: str
    name: str


@dataclass(frozen=True)
class Product:
    """What the shop sells, and for how much now."""

    sku: str
    name: str
    unit_price: Decimal
    currency: str = CURRENCY


@dataclass(frozen=True)
class OrderItem:
    """So many of one product, at the price of the day."""

    sku: str
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True)
class StatusChange:
    """A line of an order's history."""

    status: OrderStatus
    at: datetime
    reason: CancellationReason | None = None


def subtotal_of(items: Sequence[OrderItem]) -> Decimal:
    """Before any discount."""
    return sum((item.unit_price * item.quantity for item in items), start=Decimal(0))


@dataclass(frozen=True)
class Order:
    """Ends CONFIRMED or CANCELLED; a confirmed one can still be cancelled by its customer (see TRANSITIONS)."""

    id: UUID
    customer: Customer
    items: tuple[OrderItem, ...]
    price: Price
    payment_method: str
    placed_at: datetime
    pay_before: datetime
    status: OrderStatus
    history: tuple[StatusChange, ...]
    version: int
    currency: str = CURRENCY

    @classmethod
    def place(  # noqa: PLR0913 - an order has that many parts
        cls,
        *,
        order_id: UUID,
        customer: Customer,
        items: Sequence[OrderItem],
        price: Price,
        payment_method: str,
        at: datetime,
        payment_deadline: timedelta,
    ) -> Self:
        """A new order, PENDING until its payment is known."""
        return cls(
            id=order_id,
            customer=customer,
            items=tuple(items),
            price=price,
            payment_method=payment_method,
            placed_at=at,
            pay_before=at + payment_deadline,
            status=OrderStatus.PENDING,
            history=(StatusChange(OrderStatus.PENDING, at),),
            version=1,
        )

    def confirm(self, at: datetime) -> Self:
        """The payment was captured."""
        return self._after(OrderInput.PAYMENT_CAPTURED, at)

    def decline(self, at: datetime) -> Self:
        """The payment was declined."""
        return self._after(OrderInput.PAYMENT_DECLINED, at)

    def expire(self, at: datetime) -> Self:
        """The payment deadline passed without an answer."""
        return self._after(OrderInput.DEADLINE_PASSED, at)

    def cancel(self, at: datetime) -> Self:
        """Its customer cancels."""
        return self._after(OrderInput.CANCEL_CALL, at)

    @property
    def cancellation_reason(self) -> CancellationReason | None:
        """Why it was cancelled, if it was."""
        return self.history[-1].reason

    def _after(self, input_: OrderInput, at: datetime) -> Self:
        """The order itself where TRANSITIONS has None."""
        change = TRANSITIONS[self.status][input_]
        if change is None:
            return self
        line = StatusChange(change.status, at, change.reason)
        return replace(self, status=change.status, history=(*self.history, line), version=self.version + 1)
