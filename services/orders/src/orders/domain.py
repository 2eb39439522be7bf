"""Orders and users: the rules that hold whatever framework, database or broker is around them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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


class Role(StrEnum):
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
    """A person with an account; ``email`` is unique whatever its case."""

    id: UUID
    email: str
    name: str
    password_hash: str
    created_at: datetime
    role: Role = Role.CUSTOMER
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
    """Ends CONFIRMED or CANCELLED; a confirmed one can still be cancelled by its customer.

    A transition for which domain.md's table has no entry returns the order itself.
    """

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
    def place(  # noqa: PLR0913  # an order has that many parts
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
        """The payment was captured. Too late for a cancelled order: payments returns the money."""
        return self._change(OrderStatus.CONFIRMED, at) if self.status is OrderStatus.PENDING else self

    def decline(self, at: datetime) -> Self:
        """The payment was declined."""
        return self._cancel_pending(CancellationReason.PAYMENT_DECLINED, at)

    def expire(self, at: datetime) -> Self:
        """The payment deadline passed without an answer."""
        return self._cancel_pending(CancellationReason.PAYMENT_DEADLINE, at)

    def cancel(self, at: datetime) -> Self:
        """The customer cancels, before or after the payment."""
        if self.status is OrderStatus.CANCELLED:
            return self
        return self._change(OrderStatus.CANCELLED, at, CancellationReason.CUSTOMER)

    @property
    def cancellation_reason(self) -> CancellationReason | None:
        """Why it was cancelled, if it was."""
        return self.history[-1].reason

    def _cancel_pending(self, reason: CancellationReason, at: datetime) -> Self:
        return self._change(OrderStatus.CANCELLED, at, reason) if self.status is OrderStatus.PENDING else self

    def _change(self, status: OrderStatus, at: datetime, reason: CancellationReason | None = None) -> Self:
        change = StatusChange(status, at, reason)
        return replace(self, status=status, history=(*self.history, change), version=self.version + 1)
