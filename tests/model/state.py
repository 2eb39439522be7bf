"""One order in all three services at once: what is stored, logged, under way, charged and mailed; and the rules."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from notifications import handlers as notifications_handlers
from orders.domain import OrderStatus
from outboxed.messages import OutgoingRecord
from outboxed.testing.memory import State
from payments.domain import PaymentStatus


@dataclass(frozen=True)
class Gateway:
    """The processor's memory of one key; ``accepts`` is the customer's card."""

    accepts: bool
    charged: int = 0
    refunded: bool = False

    @property
    def keeps(self) -> int:
        return 0 if self.refunded else self.charged


@dataclass(frozen=True)
class World:
    """Where everything is; steps make new ones. ``calls`` are outcomes that are not recorded yet."""

    states: dict[str, State]
    gateway: Gateway
    logs: dict[str, tuple[OutgoingRecord, ...]] = field(default_factory=lambda: {"orders": (), "payments": ()})
    positions: dict[tuple[str, str], int] = field(default_factory=dict)
    calls: dict[str, Any] = field(default_factory=dict)
    died: str | None = None
    mails: tuple[str, ...] = ()
    deadline_passed: bool = False
    story: tuple[str, ...] = ()

    @property
    def order(self) -> Any:
        return next(iter(self.states["orders"].table("orders").values()))

    @property
    def payment(self) -> Any:
        return next(iter(self.states["payments"].table("payments").values()), None)

    @property
    def notifications(self) -> Any:
        return next(iter(self.states["notifications"].table("order_notifications").values()), None)

    def key(self) -> Hashable:
        """Equal for worlds that can't be told apart by anything but times and ids."""
        return (
            *(self.key_of(service) for service in self.states),
            tuple(tuple(record.headers["ce_type"] for record in log) for log in self.logs.values()),
            tuple(sorted(self.positions.items())),
            tuple(sorted((name, repr(outcome)) for name, outcome in self.calls.items())),
            self.died,
            tuple(sorted(self.mails)),
            self.gateway,
            self.deadline_passed,
        )

    def key_of(self, service: str) -> Hashable:
        """The same for the state of one service."""
        payment, told = self.payment, self.notifications
        aggregates: dict[str, Hashable] = {
            "orders": tuple((change.status, change.reason) for change in self.order.history),
            "payments": payment and tuple(change.status for change in payment.history),
            "notifications": told
            and (told.email is None, tuple((each.kind, each.status) for each in told.notifications)),
        }
        return aggregates[service], tuple(sorted(self.states[service].tasks))


def broken_always(world: World) -> Iterator[str]:
    """What may never be, not even in between."""
    if world.gateway.charged > 1:
        yield "an order is charged at most once"
    statuses = [change.status for change in world.order.history]
    if OrderStatus.CONFIRMED in statuses and not world.gateway.charged:
        yield "no order is confirmed without a charge"
    if "confirmation" in world.mails and OrderStatus.CONFIRMED not in statuses:
        yield "no confirmation for an order that was never confirmed"
    for kind in set(world.mails):
        copies = 1 + (world.died or "").startswith(f"{notifications_handlers.SEND_EMAIL} {kind}.")
        if world.mails.count(kind) > copies:
            yield f"the {kind} is sent once, and once more at most for each death of its worker"


def broken_at_rest(world: World) -> Iterator[str]:
    """What must be when nothing moves any more."""
    order, payment = world.order, world.payment
    if order.status is OrderStatus.PENDING:
        yield "every order ends"
    if order.status is OrderStatus.CONFIRMED and world.gateway.keeps != 1:
        yield "a confirmed order is paid"
    if order.status is OrderStatus.CANCELLED and world.gateway.keeps != 0:
        yield "a cancelled order keeps no charge"
    expected = {"confirmation"} if any(c.status is OrderStatus.CONFIRMED for c in order.history) else set()
    expected |= {"cancellation"} if order.status is OrderStatus.CANCELLED else set()
    expected |= {"refund"} if payment.status is PaymentStatus.REFUNDED else set()
    if set(world.mails) != expected:
        yield f"the customer gets {sorted(expected)}, not {sorted(set(world.mails))}"
    if any(each.status != "sent" for each in world.notifications.notifications if world.notifications):
        yield "every notification is marked as sent"
