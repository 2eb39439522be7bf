"""The edges of what events are made of, by a short name each: where a form, a size or a rounding can go wrong."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from outboxed.messages import Event

Axes = Mapping[str, Mapping[str, Any]]
"""By field the values that it may have, each by a short name; see pact_faststream.values.pairwise."""

CENT = Decimal("0.01")
GROUPS = (3, 6)
"""Digits before the point at which a separator, or an exponent, first shows in some way of writing."""


INSTANTS: Mapping[str, datetime] = {
    "at midnight on a first": datetime(2026, 2, 1, tzinfo=UTC),
    "in summer, in milliseconds": datetime(2026, 7, 31, 22, 59, 59, 120_000, tzinfo=UTC),
    "at the last microsecond of a leap day": datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
}


def largest_of(column: Any) -> Decimal:
    """The largest amount for which a numeric column has room."""
    digits: int = column.type.precision - column.type.scale
    return Decimal(10**digits) - CENT


def fields_of(event: type[Event], axes: Axes) -> Axes:
    """Those axes that are of a field of the event; an axis such as `total.amount` is of `total`."""
    return {axis: values for axis, values in axes.items() if axis.partition(".")[0] in event.model_fields}


def amounts(largest: Decimal, *more: Decimal) -> Mapping[str, Decimal]:
    """Amounts with two decimals, from nothing to the largest; `more` are those that a rule tells apart."""
    edges = [Decimal("0.00"), *more, largest]
    for digits in GROUPS:
        edges += [Decimal(10**digits) - CENT, Decimal(10**digits).quantize(CENT)]
    return {f"{amount:.2f}": amount for amount in sorted(set(edges)) if 0 <= amount <= largest}
