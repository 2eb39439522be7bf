"""What a customer is told about one order: each kind of notification at most once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID


class Channel(StrEnum):
    """How a notification reaches its customer; each has an address of its own kind."""

    EMAIL = "email"


class Kind(StrEnum):
    """In the order in which a customer should read them."""

    CONFIRMATION = "confirmation"
    CANCELLATION = "cancellation"
    REFUND = "refund"

    @property
    def channel(self) -> Channel:
        """The one that it is sent through."""
        match self:
            case Kind.CONFIRMATION | Kind.CANCELLATION | Kind.REFUND:
                return Channel.EMAIL


class NotificationInput(StrEnum):
    """What can happen to an order that its customer may have to be told."""

    ORDER_CONFIRMED = "order.confirmed"
    ORDER_CANCELLED = "order.cancelled"
    PAYMENT_REFUNDED = "payment.refunded"


@dataclass(frozen=True)
class Made:
    """The notification that an input makes, unless the customer was told one of `unless` before."""

    kind: Kind
    unless: tuple[Kind, ...] = ()


NOTIFICATIONS: Mapping[NotificationInput, Made] = {
    # not worth an e-mail to somebody who was told that the order is cancelled
    NotificationInput.ORDER_CONFIRMED: Made(Kind.CONFIRMATION, unless=(Kind.CANCELLATION,)),
    NotificationInput.ORDER_CANCELLED: Made(Kind.CANCELLATION),
    NotificationInput.PAYMENT_REFUNDED: Made(Kind.REFUND),
}
"""What each input makes; each kind once. `docs/domain.md` is made of it."""


class Status(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True)
class Notification:
    """One message to a customer; `message_id` and `sent_at` are known once it is sent."""

    kind: Kind
    status: Status = Status.PENDING
    message_id: str | None = None
    sent_at: datetime | None = None


@dataclass(frozen=True)
class OrderNotifications:
    """All notifications about one order; `id` is the order's.

    `email` is None until an event brought it: a refund that is heard of first has to wait for it.
    """

    id: UUID
    email: str | None = None
    notifications: tuple[Notification, ...] = ()
    version: int = 0

    def confirmed(self, email: str) -> Self:
        """The order was confirmed."""
        return self._after(NotificationInput.ORDER_CONFIRMED, email)

    def cancelled(self, email: str) -> Self:
        """The order was cancelled."""
        return self._after(NotificationInput.ORDER_CANCELLED, email)

    def refunded(self) -> Self:
        """The money went back."""
        return self._after(NotificationInput.PAYMENT_REFUNDED)

    def sent(self, kind: Kind, message_id: str, at: datetime) -> Self:
        """Its channel took it."""
        return self._replace(Notification(kind, Status.SENT, message_id, at))

    def failed(self, kind: Kind) -> Self:
        """Its channel will never take it."""
        return self._replace(Notification(kind, Status.FAILED))

    def including(self, kind: Kind) -> Self:
        """With a notification of this kind to be sent; itself where it has one."""
        if self.has(kind):
            return self
        return replace(self, notifications=(*self.notifications, Notification(kind)), version=self.version + 1)

    def has(self, kind: Kind) -> bool:
        return self.get(kind) is not None

    def get(self, kind: Kind) -> Notification | None:
        return next((notification for notification in self.notifications if notification.kind is kind), None)

    @property
    def sendable(self) -> Sequence[Kind]:
        """What can be sent, in the order in which a customer should read it."""
        return [kind for kind in Kind if self.has(kind) and self.address(kind.channel)]

    def address(self, channel: Channel) -> str | None:
        """The customer's address for a channel, as far as it is known."""
        match channel:
            case Channel.EMAIL:
                return self.email

    def _after(self, input_: NotificationInput, email: str | None = None) -> Self:
        made = NOTIFICATIONS[input_]
        known = self._with_email(email) if email else self
        return known if any(self.has(kind) for kind in made.unless) else known.including(made.kind)

    def _with_email(self, email: str) -> Self:
        return self if self.email else replace(self, email=email, version=self.version + 1)

    def _replace(self, changed: Notification) -> Self:
        notifications = tuple(
            changed if notification.kind is changed.kind else notification for notification in self.notifications
        )
        return replace(self, notifications=notifications, version=self.version + 1)
