"""Variants of an event from the edges of its fields."""

from collections.abc import Mapping, Sequence
from typing import Any

from allpairspy import AllPairs


def pairwise(axes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Variants, by name, in which each two values of two axes meet at least once.

    An axis has its values by a short name for each; a dot in the axis's name leads into an object, as in
    `customer.email`. Raises ValueError for an axis without a value.
    """
    for axis, values in axes.items():
        if not values:
            raise ValueError(f"the axis {axis} has no value")
    rows: Sequence[Sequence[str]]
    match [list(values) for values in axes.values()]:
        case [one]:
            rows = [[name] for name in one]
        case several:
            rows = [list(row) for row in AllPairs(several)]
    return {", ".join(row): _parameters(axes, row) for row in rows}


def _parameters(axes: Mapping[str, Mapping[str, Any]], row: Sequence[str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for (axis, values), name in zip(axes.items(), row, strict=True):
        node, *path = axis.split(".")
        where = made
        while path:
            where = where.setdefault(node, {})
            node, *path = path
        where[node] = values[name]
    return made
