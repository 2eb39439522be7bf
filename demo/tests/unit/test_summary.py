"""The demo's judgement bites: each invariant falls when what it forbids has happened."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from shop_demo.customers import Accepted, Outcome
from shop_demo.summary import judge
from shop_harness.ledgers import Mail, OrderRow, PaymentRow, Snapshot

PLACED = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
OUTCOME = Outcome(accepted={"1": Accepted("1", PLACED, "ada@example.com", 1)})


def order(**parts: Any) -> OrderRow:
    valid = {
        "id": "1",
        "email": "ada@example.com",
        "status": "CONFIRMED",
        "total": Decimal("95.00"),
        "placed_at": PLACED,
        "settled_at": PLACED + timedelta(milliseconds=40),
        "was_confirmed": True,
    }
    return OrderRow(**{**valid, **parts})


def mail(kind: str = "confirmation", to: str = "ada@example.com") -> Mail:
    return Mail(to, f"{kind}.1@shop.example", PLACED)


def snapshot(**parts: Any) -> Snapshot:
    valid = {
        "orders": {"1": order()},
        "payments": {"1": PaymentRow("1", "CAPTURED", Decimal("95.00"), "c1")},
        "kept": {"c1": ("1", Decimal("95.00"))},
        "mails": [mail()],
        "open_work": 0,
        "dead_letters": 0,
    }
    return Snapshot(**{**valid, **parts})


def test_a_run_in_which_all_is_well() -> None:
    verdict = judge(OUTCOME, snapshot())

    assert not verdict.broken
    assert verdict.line == (
        "demo: 1 orders, 1 settled, 1 confirmed, 0 cancelled, 1/1 e-mails, 0 lines rejected, 0 dead letters, "
        "0 lost, 0 duplicated, p50 40 ms, p99 40 ms"
    )


CANCELLED = order(status="CANCELLED")
REFUNDED = {"1": PaymentRow("1", "REFUNDED", Decimal("95.00"), "c1")}


@pytest.mark.parametrize(
    ("happened", "rule"),
    [
        (snapshot(orders={}), "every order answered 201 reaches an end"),
        (snapshot(orders={"1": order(status="PENDING", settled_at=None)}), "every order answered 201 reaches an end"),
        (snapshot(orders={"1": order(), "2": order(id="2")}), "every order was answered 201"),
        (snapshot(mails=[]), "every expected e-mail arrives"),
        (snapshot(mails=[mail(), mail()]), "no e-mail is sent twice"),
        (snapshot(mails=[mail(), mail("refund")]), "no e-mail is sent twice or without reason"),
        (snapshot(mails=[mail(to="eve@example.com")]), "an e-mail goes to the order's customer"),
        (snapshot(kept={}), "a confirmed order is charged once"),
        (snapshot(kept={"c1": ("1", Decimal(95)), "c2": ("1", Decimal(95))}), "a confirmed order is charged once"),
        (snapshot(kept={"c1": ("1", Decimal("95.01"))}), "a confirmed order is charged once"),
        (snapshot(orders={"1": CANCELLED}, payments=REFUNDED), "a cancelled one not at all"),
        (snapshot(payments=REFUNDED), "the gateway has what the payments say"),
        (snapshot(dead_letters=1), "no dead letters"),
        (snapshot(open_work=1), "outboxes and tasks drain"),
    ],
)
def test_what_went_wrong_is_named(happened: Snapshot, rule: str) -> None:
    assert any(rule in broken for broken in judge(OUTCOME, happened).broken)


def test_what_is_lost_or_doubled_is_counted() -> None:
    lost = judge(OUTCOME, snapshot(orders={"1": order(status="PENDING", settled_at=None)}, mails=[])).figures
    doubled = judge(
        OUTCOME, snapshot(mails=[mail()] * 2, kept={"c1": ("1", Decimal(95)), "c2": ("1", Decimal(95))})
    ).figures

    assert (lost.lost, lost.duplicated) == (2, 0)
    assert (doubled.lost, doubled.duplicated) == (0, 2)


def test_a_cancelled_order_that_was_confirmed_and_refunded_has_three_mails() -> None:
    mails = [mail("confirmation"), mail("cancellation"), mail("refund")]

    verdict = judge(OUTCOME, snapshot(orders={"1": CANCELLED}, payments=REFUNDED, kept={}, mails=mails))

    assert not verdict.broken


def test_latencies_are_percentiles_by_nearest_rank() -> None:
    orders = {str(n): order(id=str(n), settled_at=PLACED + timedelta(milliseconds=n)) for n in range(1, 101)}
    outcome = Outcome(accepted={key: replace(OUTCOME.accepted["1"], order_id=key) for key in orders})

    figures = judge(outcome, snapshot(orders=orders)).figures

    assert (figures.p50, figures.p99) == (50, 99)
