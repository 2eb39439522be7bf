"""Wake-ups: a commit wakes the relay and the workers of its process at once, and those of others that listen."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from outboxed._backoff import backoff
from outboxed._stopping import Stop

POLL_SECONDS = 0.05
IDLE_POLL_SECONDS = 0.3
QUIET_LOOKS = 3
SAFETY_SECONDS = 5.0
"""A loop that is told of all work looks so often whether something was missed."""


class Wakeup:
    """Wakes every subscriber; a notification between two waits is not lost.

    `announce` is set while other processes can be told. `hears_others` is true while they can all tell this one (see
    process.Announcements).
    """

    def __init__(self) -> None:
        self._subscribers: list[asyncio.Event] = []
        self.announce: Callable[[], None] | None = None
        self.hears_others = False

    def subscribe(self) -> "Subscription":
        """Register one waiting loop."""
        event = asyncio.Event()
        self._subscribers.append(event)
        return Subscription(event, self)

    def notify(self) -> None:
        """Work was committed here: wake all subscribers, and those of other processes."""
        self.wake()
        if self.announce is not None:
            self.announce()

    def wake(self) -> None:
        """Wake all subscribers of this process."""
        for event in self._subscribers:
            event.set()


class Subscription:
    """One waiting loop's view of a wake-up."""

    def __init__(self, event: asyncio.Event, of: Wakeup) -> None:
        self._event = event
        self._of = of

    @property
    def hears_others(self) -> bool:
        """Whether work of other processes wakes this loop, too."""
        return self._of.hears_others

    def wake(self) -> None:
        """Wake this loop alone."""
        self._event.set()

    async def wait(self, at_most: float) -> bool:
        """Wait for a notification, at most `at_most` seconds; returns whether one came."""
        try:
            async with asyncio.timeout(at_most):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


@asynccontextmanager
async def woken_at(stop: Stop, wake: Subscription) -> AsyncIterator[None]:
    """Inside the block `stop` wakes the loop, too."""

    async def at_stop() -> None:
        await stop.wait()
        wake.wake()

    waiting = asyncio.create_task(at_stop())
    try:
        yield
    finally:
        waiting.cancel()


class Idling:
    """The pauses of a loop that finds no work; each is longer than the last.

    A notification or found work makes the pauses short again. So work of another process is found within POLL_SECONDS
    during traffic, and within IDLE_POLL_SECONDS after a quiet time. A loop that is told of all work needs no such
    looks: it waits until it's told, until work that it knows of is due, or for SAFETY_SECONDS.
    """

    def __init__(self) -> None:
        self._looks = 0

    async def wait(self, wake: Subscription, *, due_in: float | None = None) -> bool:
        """Wait for the next pause, or until a notification; returns whether one came.

        `due_in` says in how many seconds the next work is due that is known: infinity if there is none, None if the
        loop can't say. Only with it the loop waits to be told.
        """
        self._looks += 1
        pause = backoff(self._looks, first=POLL_SECONDS, cap=IDLE_POLL_SECONDS)
        if due_in is not None and due_in > 0:
            pause = min(due_in, SAFETY_SECONDS if wake.hears_others else pause)
        if told := await wake.wait(pause):
            self.end()
        return told

    @property
    def is_long(self) -> bool:
        """Whether several looks in a row found nothing."""
        return self._looks >= QUIET_LOOKS

    def end(self) -> None:
        """Make the pauses short again: the loop has found work."""
        self._looks = 0
