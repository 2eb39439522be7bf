"""Percentiles by nearest rank: each is one of the values."""

from collections.abc import Sequence


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest of the values that so many per cent of them don't exceed. Raises IndexError for no values."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
