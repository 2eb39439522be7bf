"""What holds for expectations of every kind."""

from collections import Counter
from collections.abc import Iterable


class ExpectationError(ValueError):
    """An expectation would check less than it seems to."""


def refuse_twice(descriptions: Iterable[str], consumer: str, provider: str) -> None:
    """Raise ExpectationError if two expectations have one description: one of them would never be checked."""
    for description, times in Counter(descriptions).items():
        if times > 1:
            raise ExpectationError(f"{consumer} expects {description!r} of {provider} twice: give each its own words")
