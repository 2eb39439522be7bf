"""How long to wait before the next attempt."""

import random


def backoff(attempts: int, *, first: float, cap: float) -> float:
    """Seconds to wait after attempt number `attempts` (from 1): exponential from `first` to `cap`, less up to half."""
    return min(cap, first * 2.0 ** min(attempts - 1, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
