"""One order in all three services at once: what is stored, logged, under way, charged and mailed."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from outboxed.messages import OutgoingRecord
from outboxed.testing.memory import State

from services.notifications.tests.fakes import SentEmail


@dataclass(frozen=True)
class Gateway:
    """The processor's memory of one order: amounts by idempotency key; `accepts` is the customer's card."""

    accepts: bool
    charged: tuple[tuple[str, Decimal], ...] = ()
    refunded: bool = False


@dataclass(frozen=True)
class SagaState:
    """Where everything is; steps make new ones. `calls` are outcomes that are not recorded yet."""

    databases: dict[str, State]
    gateway: Gateway
    logs: dict[str, tuple[OutgoingRecord, ...]] = field(default_factory=lambda: {"orders": (), "payments": ()})
    positions: dict[tuple[str, str], int] = field(default_factory=dict)
    calls: dict[str, Any] = field(default_factory=dict)
    died: str | None = None
    mails: tuple[SentEmail, ...] = ()
    deadline_passed: bool = False
    story: tuple[str, ...] = ()

    @property
    def order(self) -> Any:
        return next(iter(self.databases["orders"].table("orders").values()))

    @property
    def payment(self) -> Any:
        return next(iter(self.databases["payments"].table("payments").values()), None)

    @property
    def notifications(self) -> Any:
        return next(iter(self.databases["notifications"].table("order_notifications").values()), None)

    def key(self) -> Hashable:
        """Equal for states that can't be told apart by anything but times and ids."""
        return (
            *(self.key_of(service) for service in self.databases),
            tuple(tuple(record.headers["ce_type"] for record in log) for log in self.logs.values()),
            tuple(sorted(self.positions.items())),
            tuple(sorted((name, repr(outcome)) for name, outcome in self.calls.items())),
            self.died,
            tuple(sorted(mail.kind for mail in self.mails)),
            self.gateway,
            self.deadline_passed,
        )

    def key_of(self, service: str) -> Hashable:
        """The same for the state of one service."""
        payment, sent = self.payment, self.notifications
        aggregates: dict[str, Hashable] = {
            "orders": tuple((change.status, change.reason) for change in self.order.history),
            "payments": payment and tuple(change.status for change in payment.history),
            "notifications": sent
            and (sent.email is None, tuple((each.kind, each.status) for each in sent.notifications)),
        }
        return aggregates[service], tuple(sorted(self.databases[service].tasks))
