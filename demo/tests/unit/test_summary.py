"""What the demo counts, and that it judges by the saga's rules."""

from dataclasses import replace
from datetime import timedelta

import pytest
from shop_demo.customers import Outcome, Rejected
from shop_demo.summary import summarize
from shop_harness.customers import Placed
from shop_harness.evidence import Evidence

from harness.tests.factories import ADA, CANCELLED, NOON, PENDING, charges, mail, order
from harness.tests.factories import evidence as _evidence

OUTCOME = Outcome(accepted={"1": Placed("1", ADA, NOON)})


def evidence(**parts: object) -> Evidence:
    """What the demo can see: no poison, no answers but its own, no topics."""
    return _evidence(**{"dead_letters": [], "poison": set(), "records": [], "inboxes": {}, "answered": {}, **parts})


def test_a_run_in_which_all_is_well() -> None:
    summary = summarize(OUTCOME, evidence())

    assert not summary.broken
    assert summary.line == (
        "demo: 1 orders, 1 settled, 1 confirmed, 0 cancelled, 1/1 e-mails, 0 lines rejected, 0 dead letters, "
        "0 lost, 0 duplicated, p50 40 ms, p99 40 ms"
    )


@pytest.mark.parametrize(
    ("happened", "rule"),
    [
        (evidence(orders={}), "every order that was answered with 201 is stored"),
        (evidence(**PENDING), "every order ends"),
        (evidence(orders={"1": order(), "2": order(id="2")}), "every order that is stored was answered with 201"),
        (evidence(mails=[]), "every e-mail that is due arrives"),
        (evidence(mails=[mail(), mail()]), "an e-mail comes once"),
        (evidence(mails=[mail(), mail("refund")]), "no e-mail says what is not true"),
        (evidence(mails=[mail(to="eve@example.com")]), "an e-mail goes to the order's customer"),
        (evidence(charges=[]), "a confirmed order keeps one charge"),
        (evidence(charges=charges("95.00", "95.00")), "a confirmed order keeps one charge"),
        (evidence(charges=charges("95.01")), "a confirmed order keeps one charge"),
        (evidence(**{**CANCELLED, "charges": charges("95.00")}), "any other none"),
        (evidence(payments=CANCELLED["payments"]), "the gateway has what the payments say"),
        (evidence(dead_letters=_evidence().dead_letters), "no dead letter"),
        (evidence(open_tasks=["payments: charge 1"]), "outboxes, tasks and lag return to zero"),
    ],
)
def test_what_went_wrong_is_named(happened: Evidence, rule: str) -> None:
    assert any(rule in broken for broken in summarize(OUTCOME, happened).broken)


def test_what_is_lost_or_doubled_is_counted() -> None:
    lost = summarize(OUTCOME, evidence(orders={"1": order(status="PENDING", settled_at=None)}, mails=[])).figures
    doubled = summarize(OUTCOME, evidence(mails=[mail()] * 2, charges=charges("95.00", "95.00"))).figures

    assert (lost.lost, lost.duplicated) == (2, 0)
    assert (doubled.lost, doubled.duplicated) == (0, 2)


def test_a_cancelled_order_that_was_confirmed_and_refunded_has_three_mails() -> None:
    summary = summarize(OUTCOME, evidence(**CANCELLED))

    assert not summary.broken
    assert summary.figures.mails == 3


def test_latencies_are_percentiles_by_nearest_rank() -> None:
    orders = {str(n): order(id=str(n), settled_at=NOON + timedelta(milliseconds=n)) for n in range(1, 101)}
    outcome = Outcome(accepted={key: replace(OUTCOME.accepted["1"], order_id=key) for key in orders})

    figures = summarize(outcome, evidence(orders=orders)).figures

    assert (figures.p50, figures.p99) == (50, 99)


def test_an_order_that_was_cancelled_is_counted_as_such() -> None:
    figures = summarize(OUTCOME, evidence(**CANCELLED)).figures

    assert (figures.settled, figures.confirmed, figures.cancelled) == (1, 0, 1)


def test_lines_that_were_refused_are_told_from_those_that_were_sent_again() -> None:
    refused = Rejected(7, 422, "VALIDATION_ERROR", "no items")

    summary = summarize(replace(OUTCOME, rejected=[refused], replayed=3), evidence())

    assert summary.figures.rejected == 1
    assert (len(summary.as_json()["rejected"]), summary.as_json()["replayed"]) == (1, 3)  # type: ignore[arg-type]
