"""How long to wait before the next attempt."""

import random


def backoff(attempts: int, *, first: float, cap: float) -> float:
    """Seconds: exponential from `first`, at most `cap`, with jitter of up to half; `attempts` from 1."""
    return min(cap, first * 2.0 ** min(attempts - 1, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
