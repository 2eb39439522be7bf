"""Variants of an event from the edges of its fields."""

from collections.abc import Mapping, Sequence
from typing import Any

from allpairspy import AllPairs


def pairwise(axes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Variants, by name, in which each two values of two axes meet at least once.

    An axis has its values by a short name for each; a dot in the axis's name leads into an object, as in
    `customer.email`. A value may be a function, such as `uuid4`, which then gives one to each run.

    Raises ValueError for an axis without a value.
    """
    for axis, values in axes.items():
        if not values:
            raise ValueError(f"the axis {axis} has no value")
    alone = {axis: values for axis, values in axes.items() if len(values) == 1}
    swept = {axis: values for axis, values in axes.items() if axis not in alone}
    return {", ".join(row) or "the only one": _parameters({**alone, **swept}, row) for row in _rows(swept)}


def _rows(swept: Mapping[str, Mapping[str, Any]]) -> Sequence[Sequence[str]]:
    named = [list(values) for values in swept.values()]
    if len(named) < 2:  # noqa: PLR2004 - there are no pairs
        return [[name] for names in named for name in names] or [[]]
    return [list(row) for row in AllPairs(named)]


def _parameters(axes: Mapping[str, Mapping[str, Any]], row: Sequence[str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    names = iter(row)
    for axis, values in axes.items():
        *path, last = axis.split(".")
        where = made
        for step in path:
            where = where.setdefault(step, {})
        where[last] = next(iter(values.values())) if len(values) == 1 else values[next(names)]
    return made
