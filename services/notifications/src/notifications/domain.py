"""What a customer is told about one order: each kind of e-mail at most once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID


class Kind(StrEnum):
    """In the order in which a customer should read them."""

    CONFIRMATION = "confirmation"
    CANCELLATION = "cancellation"
    REFUND = "refund"


class Status(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True)
class Notification:
    """One e-mail; ``message_id`` and ``sent_at`` are known once it is sent."""

    kind: Kind
    status: Status = Status.PENDING
    message_id: str | None = None
    sent_at: datetime | None = None


@dataclass(frozen=True)
class OrderNotifications:
    """All e-mails about one order; ``id`` is the order's.

    ``email`` is None until an event brought it: a refund that is heard of first has to wait for it.
    """

    id: UUID
    email: str | None = None
    notifications: tuple[Notification, ...] = ()
    version: int = 0

    def confirmed(self, email: str) -> Self:
        """The order was confirmed; not worth an e-mail to somebody who was told that it is cancelled."""
        known = self._with_email(email)
        return known if self.has(Kind.CANCELLATION) else known.including(Kind.CONFIRMATION)

    def cancelled(self, email: str) -> Self:
        """The order was cancelled."""
        return self._with_email(email).including(Kind.CANCELLATION)

    def refunded(self) -> Self:
        """The money went back."""
        return self.including(Kind.REFUND)

    def sent(self, kind: Kind, message_id: str, at: datetime) -> Self:
        """The mail server took it."""
        return self._replace(Notification(kind, Status.SENT, message_id, at))

    def failed(self, kind: Kind) -> Self:
        """The mail server will never take it."""
        return self._replace(Notification(kind, Status.FAILED))

    def including(self, kind: Kind) -> Self:
        """With an e-mail of this kind to be sent; itself where it has one."""
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
        return [kind for kind in Kind if self.has(kind)] if self.email else []

    def _with_email(self, email: str) -> Self:
        return self if self.email else replace(self, email=email, version=self.version + 1)

    def _replace(self, changed: Notification) -> Self:
        notifications = tuple(
            changed if notification.kind is changed.kind else notification for notification in self.notifications
        )
        return replace(self, notifications=notifications, version=self.version + 1)
