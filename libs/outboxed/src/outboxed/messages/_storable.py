"""What PostgreSQL can't hold though JSON can: refused when an event is read, not by the handler that stores it."""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from pydantic import BaseModel

NO_JSON = "has a number that JSON doesn't know"
LONG = "has more digits than a column can hold"
OUTSIDE = "has an instant that is outside the years 1 to 9999 in UTC"
INFINITIES = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
"""asyncpg stores the first and the last instant as PostgreSQL's infinities, which it gives back without a zone."""
INTEGERS = range(-(2**63), 2**63)
"""A bigint."""
NUMERIC_DIGITS, NUMERIC_DECIMALS = 131_072, 16_383
"""Of a numeric without a precision (PostgreSQL, 8.1.2); for one with a precision, see ConsumedPrice."""


class LongNumber:
    """An integer of so many digits that Python doesn't read it."""


def unstorable(value: object) -> str | None:
    """Why no column can hold the value, or a value anywhere inside it; None if one can. Never repeats the value."""
    check = _check_of(type(value))  # type: ignore[arg-type]  # mypy takes no type for hashable
    return check(value) if check else None


def _text(text: str) -> str | None:
    if "\0" in text:
        return "has a NUL"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "has a lone surrogate"
    return None


def _numeric(number: Decimal) -> str | None:
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        return NO_JSON
    fits = -exponent <= NUMERIC_DECIMALS and number.adjusted() < NUMERIC_DIGITS
    return None if fits else LONG


def _instant(instant: datetime) -> str | None:
    try:
        in_utc = instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except OverflowError:
        return OUTSIDE
    return None if INFINITIES[0] < in_utc < INFINITIES[1] else OUTSIDE


def _integer(number: int) -> str | None:
    return None if number in INTEGERS else "has an integer of more than 64 bits"


def _float(number: float) -> str | None:
    return None if math.isfinite(number) else NO_JSON


def _any_of(parts: Iterable[object]) -> str | None:
    return next(filter(None, map(unstorable, parts)), None)


@cache  # a value is of few types, and a look at abstract ones takes as long as the check
def _check_of(kind: type) -> Callable[[Any], str | None] | None:
    return next((check for checked, check in _CHECKS if issubclass(kind, checked)), None)


_CHECKS: tuple[tuple[Any, Callable[[Any], str | None]], ...] = (
    (str, _text),
    (int, _integer),
    (float, _float),
    (Decimal, _numeric),
    (datetime, _instant),
    (LongNumber, lambda _: LONG),
    (Mapping, lambda mapping: _any_of((*mapping.keys(), *mapping.values()))),
    (BaseModel, lambda model: _any_of(part for _, part in model)),
    ((list, tuple, set, frozenset), _any_of),
)
