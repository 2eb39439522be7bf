"""How a part that runs is ended: an event tells it, and its last steps are not cancelled."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

from outboxed._extras import loaded


class Stop(Protocol):
    """Tells a part to end; an `asyncio.Event` and an `anyio.Event` are such."""

    def is_set(self) -> bool:
        """Whether it was told."""
        ...

    async def wait(self) -> object:
        """Until it's told."""
        ...


def turns_until(stop: Stop) -> Iterator[None]:
    """The turns of a loop, until it is told to end or its task was cancelled, also if nobody raised that.

    A library may swallow a cancellation: Python 3.11's `asyncio.wait_for` does when its result comes in the same moment
    (https://github.com/python/cpython/issues/86296). A loop that nobody tells to end would then never end.
    Raises asyncio.CancelledError at the next turn.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a loop that is told to stop runs in a task
    before = task.cancelling()
    while not stop.is_set():
        if task.cancelling() > before and not _comes_again():
            raise asyncio.CancelledError
        yield


def _comes_again() -> bool:
    """Whether anyio cancels: it does so at each step, and a cancellation of ours would go through its scope."""
    anyio: Any = loaded("anyio")
    return anyio is not None and anyio.current_effective_deadline() == -math.inf


@asynccontextmanager
async def at_most(seconds: float) -> AsyncIterator[None]:
    """Leave the block after so long, without an error."""
    try:
        async with asyncio.timeout(seconds) as scope:
            yield
    except TimeoutError:
        if not scope.expired():
            raise


@contextmanager
def shielded() -> Iterator[None]:
    """The block is not cancelled again while somebody's cancellation goes on.

    asyncio cancels a task once, and what then comes in a `finally` runs to its end. anyio cancels at each step, unless
    it's told; so it matters where somebody in this process uses it.
    """
    anyio: Any = loaded("anyio")
    if anyio is None:
        yield
        return
    with anyio.CancelScope(shield=True):
        yield
