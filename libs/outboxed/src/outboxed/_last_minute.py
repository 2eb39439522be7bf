"""What looks like a bad deploy: how many events were refused within the last minute, and how large their share is."""

from collections import Counter, deque
from collections.abc import Callable, Iterable

MAX_REFUSALS = 20
REFUSED_SHARE = 0.1
REFUSAL_WINDOW = 60.0
"""So many events of a type, and so large a share of the type's events, refused within a minute mean a bad deploy."""


class LastMinute:
    """How many events of each type were handled and refused within the last minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._handled: deque[tuple[float, Counter[str]]] = deque()
        self._refused: deque[tuple[float, Counter[str]]] = deque()

    def __len__(self) -> int:
        """The transactions that are still known."""
        return len(self._handled)

    def handled(self, types: Iterable[str]) -> None:
        """Note the events of a transaction."""
        self._handled.append((self._clock(), Counter(types)))
        self._forget(self._handled)

    def refused(self, event_type: str) -> None:
        """Note an event that its handler refused."""
        self._refused.append((self._clock(), Counter([event_type])))

    def take_back(self, event_type: str) -> None:
        """Forget the last refusal of an event: it comes again, and is noted then."""
        for place in reversed(range(len(self._refused))):
            if event_type in self._refused[place][1]:
                del self._refused[place]
                return

    def problem(self) -> str | None:
        """What looks like a bad deploy, in words."""
        handled = self._sum(self._handled)
        for event_type, refused in self._sum(self._refused).items():
            events = refused + handled[event_type]
            if refused >= max(MAX_REFUSALS, REFUSED_SHARE * events):
                return f"{refused} of {events} events of {event_type} were refused within a minute"
        return None

    def _forget(self, counted: deque[tuple[float, Counter[str]]]) -> None:
        while counted and counted[0][0] < self._clock() - REFUSAL_WINDOW:
            counted.popleft()

    def _sum(self, counted: deque[tuple[float, Counter[str]]]) -> Counter[str]:
        self._forget(counted)
        total: Counter[str] = Counter()
        for _, counts in counted:
            total.update(counts)
        return total
