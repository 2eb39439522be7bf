"""The one source of time: the database's clock, moved by an offset that is zero outside tests."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

ASKED_EVERY = 1.0
"""Seconds for which an answer of the database's clock is good."""
PRECISE = 0.02
"""Seconds; an answer that took longer is not kept, since nobody knows when in this time it was given."""


def elapsed() -> float:
    """Seconds since some moment, on a clock that nobody sets; it counts the machine's sleep where the system can."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass
class DatabaseTime:
    """The database's time, asked once a second and carried on by the time that has passed here since the answer.

    So a host with a wrong clock does no harm, and a transaction needs no round trip for its time. The time is never
    ahead of the database's clock, nor more than PRECISE behind it.
    """

    clock: Callable[[], float] = elapsed
    _answer: datetime | None = field(default=None, init=False)
    _at: float = field(default=0.0, init=False)

    async def now(self, ask: Callable[[], Awaitable[datetime]]) -> datetime:
        """The time in UTC; `ask` gets it from the database where the last answer is too old."""
        begun = self.clock()
        if self._answer is not None and begun - self._at < ASKED_EVERY:
            return self._answer + timedelta(seconds=begun - self._at)
        answer = await ask()
        self._at = self.clock()
        self._answer = answer if self._at - begun <= PRECISE else None
        return answer


@dataclass
class Clock:
    """Shared by the parts of one process.

    SQL computes and compares times as `clock_timestamp() + offset`, so that a host with a wrong clock does no harm;
    a test moves deadlines and retries by moving the offset.
    """

    offset: timedelta = timedelta(0)

    def now(self) -> datetime:
        """This host's time in UTC, for code without a database (in-memory ports, tokens)."""
        return datetime.now(UTC) + self.offset

    def advance(self, step: timedelta) -> None:
        """Move this process's time forward; for tests."""
        self.offset += step
