"""Wake-ups inside one process: a commit wakes the relay and the workers at once; other processes poll."""

import asyncio


class Signal:
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

    async def wait(self, at_most: float) -> None:
        """Return at a notification, or after ``at_most`` seconds."""
        try:
            async with asyncio.timeout(at_most):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()
