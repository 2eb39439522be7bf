import asyncio

from chassis.signals import Signal


async def test_a_notification_wakes_every_subscriber() -> None:
    signal = Signal()
    waits = [asyncio.create_task(signal.subscribe().wait(60)) for _ in range(3)]
    await asyncio.wait(waits, timeout=0)

    signal.notify()

    async with asyncio.timeout(1):
        await asyncio.gather(*waits)


async def test_a_notification_between_two_waits_is_not_lost() -> None:
    signal = Signal()
    subscription = signal.subscribe()

    signal.notify()

    async with asyncio.timeout(1):
        await subscription.wait(60)


async def test_a_notification_wakes_once() -> None:
    signal = Signal()
    subscription = signal.subscribe()
    signal.notify()
    await subscription.wait(60)

    again = asyncio.create_task(subscription.wait(60))
    done, _ = await asyncio.wait({again}, timeout=0)
    again.cancel()

    assert not done


async def test_a_wait_ends_without_a_notification_too() -> None:
    async with asyncio.timeout(1):
        await Signal().subscribe().wait(0)
