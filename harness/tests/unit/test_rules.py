"""The rules bite: each falls when what it forbids has happened, and no other does."""

from dataclasses import replace
from decimal import Decimal

import pytest
from outboxed.testing.topic_log import position
from shop_harness import rules
from shop_harness.evidence import Evidence, Letter
from shop_harness.rules import ALWAYS, RULES, Rule, broken
from shop_harness.services import ALL, readers

from ..factories import (
    ADA,
    CANCELLED,
    CAPTURED,
    CONFIRMED,
    LETTER,
    ORDER,
    PAYMENT,
    PENDING,
    PLACED,
    UNPAID,
    charges,
    evidence,
    handled,
    mail,
    order,
    record,
)

KEPT = (rules.KEPT, rules.AGREED)
NOBODYS = {**PENDING, **UNPAID}
MORE = {"confirmation.1": 1}
CONFIRMED_AGAIN = record("order.confirmed.v1", "o2", 2)
BROKEN: list[tuple[Evidence, list[Rule]]] = [
    (evidence(**UNPAID, orders={}, notifications={}), [rules.IS_STORED]),
    (evidence(answered={"1": ADA, "2": ADA}), [rules.IS_STORED]),
    (evidence(answered={}), [rules.IS_ANSWERED]),
    (evidence(answered={"1": "eve@example.com"}), [rules.IS_ANSWERED]),
    (evidence(**NOBODYS), [rules.ENDS]),
    (evidence(wrong_answers=["another order"]), [rules.ANSWERS]),
    (evidence(charges=[*charges("95.00"), *charges("95.00", refunded="95.00")]), [rules.CHARGED_ONCE]),
    (evidence(charges=[]), [rules.PAID, *KEPT]),
    (evidence(payments={"1": replace(PAYMENT, was_captured=False)}), [rules.PAID]),
    (
        evidence(
            orders={"1": order(status="CANCELLED", was_confirmed=False)},
            mails=[mail("cancellation")],
            notifications={"cancellation.1": "sent"},
        ),
        [rules.REFUNDED, rules.KEPT],
    ),
    (evidence(orders={"1": order(total=Decimal("95.01"))}), [rules.KEPT]),
    (evidence(charges=charges("95.00", "95.00")), [rules.CHARGED_ONCE, *KEPT]),
    (evidence(**{**CANCELLED, "charges": charges("95.00", refunded="94.00")}), [rules.REFUNDED, *KEPT]),
    (evidence(payments={"1": replace(PAYMENT, amount=Decimal("95.01"))}), [rules.AGREED]),
    (evidence(payments={"1": replace(PAYMENT, status="DECLINED")}), [rules.AGREED]),
    (evidence(mails=[], notifications={"confirmation.1": "pending"}), [rules.ARRIVES, rules.NOTED]),
    (evidence(**{**CANCELLED, "mails": [mail(), mail("cancellation")]}), [rules.ARRIVES, rules.NOTED]),
    (evidence(mails=[mail(), mail("cancellation")]), [rules.FOUNDED]),
    (evidence(overtaken={"confirmation.1"}), [rules.FOUNDED, rules.NOTED]),
    (evidence(mails=[mail(to="eve@example.com")]), [rules.DIRECTED]),
    (evidence(mails=[mail(), mail()]), [rules.SENT_ONCE]),
    (evidence(mails=[mail(), mail(), mail()], more_copies=MORE), [rules.SENT_ONCE]),
    (evidence(mails=[mail(), mail(domain="elsewhere")], more_copies=MORE), [rules.ONE_MESSAGE_ID]),
    (evidence(notifications={}), [rules.NOTED]),
    (evidence(notifications={"confirmation.1": "failed"}), [rules.NOTED]),
    (evidence(notifications={"confirmation.1": "sent", "refund.1": "pending"}), [rules.NOTED]),
    (evidence(unsent_events=["orders: an event of 1"]), [rules.DRAINED]),
    (evidence(open_tasks=["payments: charge 1"]), [rules.DRAINED]),
    (evidence(lag={"orders": 1}), [rules.DRAINED]),
    (evidence(dead_letters=[]), [rules.POISON_IS_BURIED]),
    (evidence(dead_letters=[LETTER, LETTER]), [rules.NO_STRAY_LETTER]),
    (evidence(dead_letters=[LETTER, replace(LETTER, service="orders")]), [rules.NO_STRAY_LETTER]),
    (evidence(dead_letters=[LETTER, Letter("notifications", "confirmation.1")]), [rules.NO_STRAY_LETTER]),
    (evidence(records=[CONFIRMED, PLACED, CAPTURED]), [rules.IN_ORDER]),
    (evidence(undocumented={position(PLACED): "its value is no JSON"}), [rules.DOCUMENTED]),
    (
        evidence(
            records=[PLACED, CAPTURED, CONFIRMED, CONFIRMED_AGAIN],
            inboxes=handled(PLACED, CAPTURED, CONFIRMED, CONFIRMED_AGAIN),
        ),
        [rules.ONE_ID],
    ),
    (evidence(inboxes=handled(PLACED, CAPTURED, CONFIRMED, notifications=set())), [rules.HANDLED]),
    (evidence(inboxes=handled(PLACED, CAPTURED, CONFIRMED, notifications={"o", "dreamt"})), [rules.HANDLED]),
    (evidence(deaths=["orders-1 ended"]), [rules.ALIVE]),
]


def fallen(run: Evidence) -> list[Rule]:
    return [rule for rule in RULES if list(rule.breaches(run))]


def test_a_run_in_which_all_is_well_breaks_no_rule_and_every_rule_looks_at_something() -> None:
    run = evidence()

    assert fallen(run) == []
    assert all(rule.checked(run) for rule in RULES)


@pytest.mark.parametrize(("run", "expected"), BROKEN, ids=[expected[-1].sentence for _, expected in BROKEN])
def test_what_is_forbidden_breaks_its_rules_and_no_other(run: Evidence, expected: list[Rule]) -> None:
    assert fallen(run) == expected


def test_each_rule_is_broken_by_something() -> None:
    assert {rule.sentence for _, expected in BROKEN for rule in expected} == {rule.sentence for rule in RULES}


def test_a_breach_is_told_after_the_sentence_of_its_rule() -> None:
    assert list(broken(RULES, evidence(mails=[mail(), mail()]))) == [
        f"{rules.SENT_ONCE.sentence}: confirmation.1 came 2 times, and interruptions explain 0 more than one"
    ]


def test_an_order_that_is_under_way_breaks_no_rule_that_holds_at_any_moment() -> None:
    run = evidence(**NOBODYS, unsent_events=["orders: an event of 1"], inboxes={})

    assert not list(broken(ALWAYS, run))


def test_a_cancelled_order_may_keep_its_charge_while_its_refund_is_under_way() -> None:
    run = evidence(orders={"1": replace(ORDER, status="CANCELLED")})

    assert list(broken(ALWAYS, run))
    assert not list(broken(ALWAYS, replace(run, refunds_under_way={"1"})))


def test_an_overtaken_confirmation_is_not_missed() -> None:
    kinds = ("cancellation", "refund")
    mails = [mail(kind) for kind in kinds]
    noted = {f"{kind}.1": "sent" for kind in kinds}

    run = evidence(**{**CANCELLED, "mails": mails, "notifications": noted}, overtaken={"confirmation.1"})

    assert fallen(run) == []


def test_what_somebody_made_up_is_no_event_out_of_order_and_no_second_fact() -> None:
    late = record("order.placed.v1", "p2", 1)
    inboxes = handled(PLACED, CAPTURED, CONFIRMED, late)
    run = evidence(records=[PLACED, CAPTURED, CONFIRMED, late], inboxes=inboxes)

    assert fallen(run) == [rules.IN_ORDER, rules.ONE_ID]
    made_up = evidence(
        records=run.records,
        inboxes=inboxes,
        undocumented={position(late): "its value is no JSON"},
        made_up={position(late)},
    )
    assert fallen(made_up) == []


def test_every_group_reads_what_its_service_says() -> None:
    assert {group: set(types.values()) for group, types in readers().items()} == {
        name: set(service.reads) for name, service in ALL.items()
    }
