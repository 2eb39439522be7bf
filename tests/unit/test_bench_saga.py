"""How `make bench-saga` judges what a build did to its orders."""

from datetime import UTC, datetime
from decimal import Decimal

from shop_harness.evidence import Charge, Mail

from tools.bench_saga.trials import Harm

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def charge(order_id: str) -> Charge:
    return Charge(f"ch_{order_id}", order_id, Decimal(10))


def mail(order_id: str, kind: str = "confirmation") -> Mail:
    return Mail("ada@example.com", f"{kind}.{order_id}@shop.example", NOW)


def test_an_order_that_is_charged_and_told_once_is_harmed_in_no_way() -> None:
    assert Harm.of(["a"], [charge("a")], [mail("a")]) == Harm(0, 0, 0, 0)


def test_orders_without_a_charge_and_charges_too_many_are_counted_apart() -> None:
    harm = Harm.of(["a", "b", "c"], [charge("a"), charge("a"), charge("a"), charge("b")], [mail("a"), mail("b")])

    assert (harm.never_charged, harm.charged_too_often, harm.never_told) == (1, 2, 1)
    assert (harm.lost, harm.doubled) == (1, 2)


def test_an_email_too_many_is_a_doubled_effect() -> None:
    assert Harm.of(["a"], [charge("a")], [mail("a"), mail("a")]).doubled == 1


def test_other_orders_of_the_same_ledgers_do_not_count() -> None:
    assert Harm.of(["a"], [charge("a"), charge("old"), charge("old")], [mail("a"), mail("old")]) == Harm(0, 0, 0, 0)
