"""The one source of time: the database's clock, moved by an offset that is zero outside tests."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


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
