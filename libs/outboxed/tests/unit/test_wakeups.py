import asyncio
import math
from collections.abc import Callable

import anyio
import pytest
from outboxed import _wakeups as signals
from outboxed._wakeups import SAFETY_SECONDS, Idling, Subscription, Wakeup, woken_at


async def test_a_notification_wakes_every_subscriber() -> None:
    signal = Wakeup()
    waits = [asyncio.create_task(signal.subscribe().wait(60)) for _ in range(3)]
    await asyncio.wait(waits, timeout=0)

    signal.notify()

    async with asyncio.timeout(10):
        await asyncio.gather(*waits)


async def test_a_notification_between_two_waits_is_not_lost() -> None:
    signal = Wakeup()
    subscription = signal.subscribe()

    signal.notify()

    async with asyncio.timeout(10):
        await subscription.wait(60)


async def test_a_notification_wakes_once() -> None:
    signal = Wakeup()
    subscription = signal.subscribe()
    signal.notify()
    await subscription.wait(60)

    again = asyncio.create_task(subscription.wait(60))
    done, _ = await asyncio.wait({again}, timeout=0)
    again.cancel()

    assert not done


async def test_a_wait_ends_without_a_notification_too() -> None:
    async with asyncio.timeout(10):
        await Wakeup().subscribe().wait(0)


class Waits(Subscription):
    """Remembers how long it was told to wait, and answers as told."""

    def __init__(self, of: Wakeup | None = None) -> None:
        super().__init__(asyncio.Event(), of or Wakeup())
        self.seconds: list[float] = []
        self.notified = False

    async def wait(self, at_most: float) -> bool:
        self.seconds.append(at_most)
        return self.notified


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "backoff", lambda attempts, *, first, cap: min(cap, first * 2 ** (attempts - 1)))


@pytest.mark.usefixtures("exact")
async def test_a_loop_that_finds_nothing_looks_less_and_less_often() -> None:
    idling, waits = Idling(), Waits()

    for _ in range(5):
        await idling.wait(waits)

    assert waits.seconds == pytest.approx([0.05, 0.1, 0.2, 0.3, 0.3])


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("ended", [Idling.end, None], ids=["work", "a notification"])
async def test_work_and_a_notification_end_the_idling(ended: Callable[[Idling], None] | None) -> None:
    idling, waits = Idling(), Waits()
    await idling.wait(waits)
    waits.notified = ended is None
    await idling.wait(waits)
    if ended:
        ended(idling)

    await idling.wait(waits)

    assert waits.seconds[-1] == pytest.approx(0.05)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(
    ("due_in", "heard", "unheard"),
    [(None, 0.05, 0.05), (math.inf, SAFETY_SECONDS, 0.05), (0.01, 0.01, 0.01), (1.5, 1.5, 0.05), (0.0, 0.05, 0.05)],
)
async def test_only_a_loop_that_is_told_of_all_work_waits_until_the_next_is_due(
    due_in: float | None, heard: float, unheard: float
) -> None:
    wakeup = Wakeup()
    waits = Waits(wakeup)

    await Idling().wait(waits, due_in=due_in)
    wakeup.hears_others = True
    await Idling().wait(waits, due_in=due_in)

    assert waits.seconds == pytest.approx([unheard, heard])


async def test_stop_ends_a_wait() -> None:
    stop, loop = anyio.Event(), Wakeup().subscribe()

    async with asyncio.timeout(10), woken_at(stop, loop):
        waiting = asyncio.create_task(loop.wait(60))
        stop.set()

        assert await waiting is True


async def test_a_wait_says_whether_it_was_a_notification_that_ended_it() -> None:
    signal = Wakeup()
    subscription = signal.subscribe()
    signal.notify()

    assert await subscription.wait(60) is True
    assert await subscription.wait(0) is False
