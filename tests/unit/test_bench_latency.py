"""How `make bench-latency` reads an order's way from its spans."""

from typing import Any

import pytest

from tools.bench_latency.way import MAILED, WAY, IncompleteTraceError, hops, moments
from tools.measuring.collector import ReceivedSpan

MS = 1_000_000


def span(service: str, name: str, began: int, ended: int) -> ReceivedSpan:
    """Began and ended so many milliseconds after 1970."""
    rest: dict[str, Any] = {
        **dict.fromkeys(("kind", "trace_id", "span_id", "parent", "scope", "schema_url", "message"), ""),
        "links": (),
        "attributes": {},
        "is_error": False,
    }
    return ReceivedSpan(name=name, resource={"service.name": service}, began=began * MS, ended=ended * MS, **rest)


TRACE = [
    span("notifications", "send_email", 112, 130),
    span("orders", "send orders", 80, 85),
    span("orders", "send orders", 20, 25),
    span("orders", "POST /api/v1/orders", 1, 22),
    span("payments", "process orders", 24, 30),
    span("payments", "POST /v1/charges", 35, 40),
    span("payments", "send payments", 50, 55),
    span("orders", "process payments", 60, 65),
    span("notifications", "process orders", 90, 95),
    span("notifications", "send e-mail", 115, 120),
]


def test_the_moments_of_a_way_come_from_the_spans_in_whatever_order_they_came() -> None:
    milliseconds = [round(1000 * moment) for moment in moments(TRACE)]

    assert milliseconds == [1, 20, 24, 35, 40, 50, 60, 80, 90, 115, 120, 130]
    assert milliseconds[MAILED] == 120


def test_the_hops_add_up_to_the_whole_way() -> None:
    took = hops(0.0, moments(TRACE))

    assert [*took] == [milestone.hop for milestone in WAY]
    assert sum(took.values()) == pytest.approx(0.130)
    assert took["charge"] == pytest.approx(0.005)
    assert took["to notifications"] == pytest.approx(0.010)


def test_a_way_without_its_end_says_what_is_missing() -> None:
    confirmed_only = [each for each in TRACE if each.service != "notifications"]

    with pytest.raises(IncompleteTraceError, match="no 'process orders' of notifications"):
        moments(confirmed_only)


def test_the_second_span_of_a_name_is_no_other_one() -> None:
    not_confirmed = [each for each in TRACE if each.began != 80 * MS]

    with pytest.raises(IncompleteTraceError, match="no 'send orders' of orders"):
        moments(not_confirmed)
