"""When a shop is at rest, and by what it's seen to move."""

from typing import Any

import pytest

from ..factories import LETTER, PENDING, charges, evidence, mail, record

MOVING: dict[str, dict[str, Any]] = {
    "an event waits": {"unsent_events": ["orders: 1"]},
    "a task waits": {"open_tasks": ["payments: charge 1"]},
    "a record waits": {"lag": {"orders": 0, "payments": 1}},
    "an order has no end": PENDING,
}
MOVED: dict[str, dict[str, Any]] = {
    **MOVING,
    "an e-mail came": {"mails": [mail(), mail("refund")]},
    "money went back": {"charges": charges("95.00", refunded="95.00")},
    "a record came": {"records": [record("order.placed.v1", "another", 1)]},
    "a letter was closed": {"dead_letters": []},
    "another letter": {"dead_letters": [LETTER, LETTER]},
}


def test_where_nothing_is_under_way_it_is_quiet() -> None:
    assert evidence().is_quiet


@pytest.mark.parametrize("parts", MOVING.values(), ids=MOVING)
def test_what_is_under_way_is_no_rest(parts: dict[str, Any]) -> None:
    assert not evidence(**parts).is_quiet


@pytest.mark.parametrize("parts", MOVED.values(), ids=MOVED)
def test_whatever_moves_is_progress(parts: dict[str, Any]) -> None:
    assert evidence(**parts).progress != evidence().progress
