"""Wake-ups inside one process: a commit wakes the relay and the workers at once; other processes poll."""

import asyncio

from outboxed._backoff import backoff

POLL_SECONDS = 0.05
IDLE_POLL_SECONDS = 0.3


class Wakeup:
    """Wakes every subscriber; a notification between two waits is not lost."""

    def __init__(self) -> None:
        self._subscribers: list[asyncio.Event] = []

    def subscribe(self) -> "Subscription":
        """Register one waiting loop."""
        event = asyncio.Event()
        self._subscribers.append(event)
        return Subscription(event)

    def notify(self) -> None:
        """Wake all subscribers."""
        for event in self._subscribers:
            event.set()


class Subscription:
    """One waiting loop's view of a wake-up."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def wait(self, at_most: float) -> bool:
        """Wait for a notification, at most `at_most` seconds; returns whether one came."""
        try:
            async with asyncio.timeout(at_most):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Idling:
    """The pauses of a loop that finds no work; each is longer than the last.

    A notification or found work makes the pauses short again. So work of another process is found within POLL_SECONDS
    during traffic, and within IDLE_POLL_SECONDS after a quiet time.
    """

    def __init__(self) -> None:
        self._looks = 0

    async def wait(self, wake: Subscription) -> None:
        """Wait for the next pause, or until a notification."""
        self._looks += 1
        if await wake.wait(backoff(self._looks, first=POLL_SECONDS, cap=IDLE_POLL_SECONDS)):
            self.end()

    def end(self) -> None:
        """Make the pauses short again: the loop has found work."""
        self._looks = 0
