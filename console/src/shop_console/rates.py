"""How many records of each event type were sent within the last minute."""

from collections import Counter
from datetime import datetime, timedelta
from heapq import heappop, heappush

WITHIN = timedelta(seconds=60)


class Rates:
    """The last minute's records, in whatever order they are read: what is older goes, though nobody asks."""

    def __init__(self) -> None:
        self._sent: list[tuple[datetime, str]] = []

    def __len__(self) -> int:
        """The records that are still known."""
        return len(self._sent)

    def add(self, sent: datetime, event_type: str) -> None:
        """Count a record."""
        heappush(self._sent, (sent, event_type))
        self._forget(sent)

    def per_minute(self, now: datetime) -> Counter[str]:
        """Records by event type."""
        self._forget(now)
        return Counter(event_type for _, event_type in self._sent)

    def _forget(self, now: datetime) -> None:
        while self._sent and self._sent[0][0] < now - WITHIN:
            heappop(self._sent)
