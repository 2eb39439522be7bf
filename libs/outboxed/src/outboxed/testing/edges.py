"""The edges of what events are made of, by a short name each: where a form, a size or a rounding can go wrong."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from outboxed.storage import Clock

CENT = Decimal("0.01")
GROUPS = (3, 6)
"""Digits before the point at which a separator, or an exponent, first shows in some way of writing."""


class StoppedClock(Clock):
    """Always at one instant."""

    def __init__(self, at: datetime) -> None:
        super().__init__()
        self._at = at

    def now(self) -> datetime:
        """The instant."""
        return self._at


INSTANTS: Mapping[str, datetime] = {
    "at midnight on a first": datetime(2026, 2, 1, tzinfo=UTC),
    "in summer, in milliseconds": datetime(2026, 7, 31, 22, 59, 59, 120_000, tzinfo=UTC),
    "at the last microsecond of a leap day": datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
}


def amounts(largest: Decimal, *more: Decimal) -> Mapping[str, Decimal]:
    """Amounts with two decimals, from nothing to the largest; `more` are those that a rule tells apart."""
    edges = [Decimal("0.00"), *more, largest]
    for digits in GROUPS:
        edges += [Decimal(10**digits) - CENT, Decimal(10**digits).quantize(CENT)]
    return {f"{amount:.2f}": amount for amount in sorted(set(edges)) if 0 <= amount <= largest}
