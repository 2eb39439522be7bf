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
    """One loop's end of a signal."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def wait(self, at_most: float) -> bool:
        """Whether there was a notification within `at_most` seconds."""
        try:
            async with asyncio.timeout(at_most):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Idling:
    """How long a loop that found nothing to do waits; the longer the less often it found something.

    A notification and work end the idling: what another process left behind is found POLL_SECONDS later while there is
    traffic, IDLE_POLL_SECONDS later after a quiet time.
    """

    def __init__(self) -> None:
        self._looks = 0

    async def wait(self, wake: Subscription) -> None:
        """Wait once more."""
        self._looks += 1
        if await wake.wait(backoff(self._looks, first=POLL_SECONDS, cap=IDLE_POLL_SECONDS)):
            self.end()

    def end(self) -> None:
        """Something was found."""
        self._looks = 0
