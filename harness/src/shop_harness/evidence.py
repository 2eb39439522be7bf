"""What is known of the shop at one moment, whoever collected it: from memory, databases, topics or ledgers."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from outboxed.messages import Record
from outboxed.testing.topic_log import Position


@dataclass(frozen=True)
class OrderRow:
    """An order in orders' database."""

    id: str
    email: str
    status: str
    total: Decimal
    placed_at: datetime
    settled_at: datetime | None
    was_confirmed: bool

    @property
    def has_ended(self) -> bool:
        return self.status != "PENDING"


@dataclass(frozen=True)
class PaymentRow:
    """A payment in payments' database; `amount` is 0 where the order was cancelled before it was seen."""

    order_id: str
    status: str
    amount: Decimal
    charge_id: str | None
    was_captured: bool


@dataclass(frozen=True)
class Charge:
    """A charge that succeeded at the gateway, and how much of it went back."""

    id: str
    order_id: str
    amount: Decimal
    refunded: Decimal = Decimal(0)

    @property
    def kept(self) -> Decimal:
        return self.amount - self.refunded


@dataclass(frozen=True)
class Mail:
    """An e-mail that arrived; a Message-ID is `kind.order_id@domain`."""

    to: str
    message_id: str
    at: datetime

    @property
    def name(self) -> str:
        """What it is about: `kind.order_id`."""
        return self.message_id.partition("@")[0]

    @property
    def order_id(self) -> str:
        return self.name.partition(".")[2]


@dataclass(frozen=True)
class Letter:
    """A dead letter: of a record in a topic, or of a task by its key."""

    service: str
    of: Position | str


@dataclass(frozen=True)
class Evidence:
    """Everything that the rules judge by. What a collector can't see stays empty, and is not judged.

    An e-mail goes by its name, `kind.order_id`; a dictionary by service or order has their names as keys.
    """

    # the databases
    orders: Mapping[str, OrderRow]
    payments: Mapping[str, PaymentRow]
    notifications: Mapping[str, str] = field(default_factory=dict)
    """What notifications knows of each e-mail: pending, sent or failed."""
    unsent_events: Sequence[str] = ()
    """Rows of outboxes."""
    open_tasks: Sequence[str] = ()
    """Rows of tasks, but for the payment deadlines of orders that have ended."""
    dead_letters: Sequence[Letter] = ()
    inboxes: Mapping[str, AbstractSet[str]] = field(default_factory=dict)
    """The ids of the events that each service has handled."""
    # the topics
    records: Sequence[Record] = ()
    undocumented: Mapping[Position, str] = field(default_factory=dict)
    """Records that aren't as the documents of the services say, and why."""
    lag: Mapping[str, int] = field(default_factory=dict)
    """How many records each group has before it."""
    # the outside
    charges: Sequence[Charge] = ()
    mails: Sequence[Mail] = ()
    # the customers
    answered: Mapping[str, str] = field(default_factory=dict)
    """Orders that were answered with 201, and the customer's address."""
    asked_again: int = 0
    """Requests that came again under their Idempotency-Key."""
    wrong_answers: Sequence[str] = ()
    # what explains more than a rule would allow otherwise
    poison: AbstractSet[Letter] = frozenset()
    """Dead letters of what nobody can handle, and somebody sent on purpose."""
    made_up: AbstractSet[Position] = frozenset()
    """Records that no service sent. Copies are not among them."""
    refused: AbstractSet[str] = frozenset()
    """E-mails that the mail server refuses for good: these may be missing, and dead letters instead."""
    overtaken: AbstractSet[str] = frozenset()
    """E-mails that nobody wants any more: a confirmation that notifications heard of after the cancellation."""
    more_copies: Mapping[str, int] = field(default_factory=dict)
    """How many copies of an e-mail are explained by an interruption between sending it and writing that down."""
    refunds_under_way: AbstractSet[str] = frozenset()
    """Orders whose refund is a task, or follows from an event that payments has yet to read."""
    kills: int = 0
    deaths: Sequence[str] = ()
    """Processes that ended, and that nobody killed."""

    @property
    def settled(self) -> int:
        """Orders that reached an end."""
        return sum(order.has_ended for order in self.orders.values())

    @property
    def kept(self) -> Sequence[Charge]:
        """Charges whose money the gateway has."""
        return [charge for charge in self.charges if charge.kept]

    @property
    def expected_mails(self) -> Counter[str]:
        """One for each order that was ever confirmed, each cancelled one, and each payment that was refunded."""
        return Counter(set(self._due_mails()) - self.overtaken)

    @property
    def received_mails(self) -> Counter[str]:
        """The same, as they arrived."""
        return Counter(mail.name for mail in self.mails)

    @property
    def open_work(self) -> int:
        """Rows that somebody has yet to deal with."""
        return len(self.unsent_events) + len(self.open_tasks)

    @property
    def is_quiet(self) -> bool:
        """Nothing is under way: no event, no task, no order without an end."""
        return self.open_work == 0 and not any(self.lag.values()) and self.settled == len(self.orders)

    @property
    def progress(self) -> Sequence[object]:
        """Another one whenever something has moved."""
        seen: Sequence[Collection[object]] = (self.mails, self.kept, self.records, self.dead_letters)
        return [self.settled, self.open_work, *map(len, seen), *self.lag.values()]

    def _due_mails(self) -> Iterator[str]:
        for order in self.orders.values():
            if order.was_confirmed:
                yield f"confirmation.{order.id}"
            if order.status == "CANCELLED":
                yield f"cancellation.{order.id}"
        for payment in self.payments.values():
            if payment.status == "REFUNDED":
                yield f"refund.{payment.order_id}"
