"""A shop in which all went well, as evidence that every rule looks at something of; a test says what went wrong."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from outboxed.messages import Record
from outboxed.testing.topic_log import Position, header
from shop_harness.evidence import Charge, Evidence, Letter, Mail, OrderRow, PaymentRow
from shop_harness.services import readers

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
ADA = "ada@example.com"
LETTER = Letter("payments", Position("orders", 0, 77))
_offsets = count()


def record(event_type: str, event_id: str, sequence: int) -> Record:
    headers = (("ce_type", event_type.encode()), ("ce_id", event_id.encode()), ("ce_sequence", b"%d" % sequence))
    topic = event_type.partition(".")[0] + "s"
    return Record(topic, 0, next(_offsets), b"1", b"{}", headers)


def mail(kind: str = "confirmation", *, to: str = ADA, domain: str = "shop.example", after: float = 0) -> Mail:
    return Mail(to, f"{kind}.1@{domain}", NOON + timedelta(seconds=after))


def order(**parts: Any) -> OrderRow:
    return replace(ORDER, **parts)


def charges(*amounts: str, refunded: str = "0") -> Sequence[Charge]:
    return [Charge(f"c{number}", "1", Decimal(amount), Decimal(refunded)) for number, amount in enumerate(amounts, 1)]


def handled(*records: Record, **changed: set[str]) -> dict[str, set[str]]:
    """The inbox of each group where all went well, whichever services there are; `changed` are those that differ."""
    by_group = {
        group: {header(one, "ce_id") for one in records if types.get(header(one, "ce_type")) == one.topic}
        for group, types in readers().items()
    }
    return {**by_group, **changed}


PLACED, CAPTURED = record("order.placed.v1", "p", 1), record("payment.captured.v1", "c", 2)
CONFIRMED = record("order.confirmed.v1", "o", 2)
ORDER = OrderRow("1", ADA, "CONFIRMED", Decimal("95.00"), NOON, NOON + timedelta(milliseconds=40), was_confirmed=True)
PAYMENT = PaymentRow("1", "CAPTURED", Decimal("95.00"), "c1", was_captured=True)
EVIDENCE = Evidence(
    orders={"1": ORDER},
    payments={"1": PAYMENT},
    notifications={"confirmation.1": "sent"},
    dead_letters=[LETTER],
    inboxes=handled(PLACED, CAPTURED, CONFIRMED),
    records=[PLACED, CAPTURED, CONFIRMED],
    lag={"orders": 0, "payments": 0, "notifications": 0},
    charges=charges("95.00"),
    mails=[mail()],
    answered={"1": ADA},
    asked_again=1,
    poison={LETTER},
    kills=3,
)
PENDING: dict[str, Any] = {
    "orders": {"1": order(status="PENDING", was_confirmed=False, settled_at=None)},
    "notifications": {},
}
UNPAID: dict[str, Any] = {"charges": [], "payments": {}, "mails": []}
CANCELLED: dict[str, Any] = {
    "orders": {"1": order(status="CANCELLED")},
    "payments": {"1": replace(PAYMENT, status="REFUNDED")},
    "charges": charges("95.00", refunded="95.00"),
    "mails": [mail("confirmation"), mail("cancellation"), mail("refund")],
    "notifications": {f"{kind}.1": "sent" for kind in ("confirmation", "cancellation", "refund")},
}
"""Confirmed, cancelled and refunded: parts for `evidence`."""


def evidence(**parts: Any) -> Evidence:
    return replace(EVIDENCE, **parts)
