"""What an open page is told, and that it waits in between."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest
from shop_console import changes
from shop_console.changes import AFTERMATH, AT_MOST_EVERY, of_all, of_key
from shop_console.index import Index

from ..factories import KEY, seen

OTHER = "another-order"


async def test_an_orders_page_waits_again_after_a_record_of_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would look again and again, and the loop would do nothing else."""
    monkeypatch.setattr(changes, "AFTERMATH", (0.0,))
    index = Index(10)
    index.add(seen())
    waits: list[int] = []

    async def wait(version: int) -> int:
        waits.append(version)
        if len(waits) == 1:
            index.add(seen(key=OTHER))
        elif version != index.version:
            pytest.fail("it doesn't know what it was told of")
        else:
            index.add(seen("order.confirmed.v1", sequence=2))
        return index.version

    monkeypatch.setattr(index, "wait", wait)
    events = of_key(index, KEY)

    assert await anext(events) == "event: story\ndata: 1\n\n"
    async with asyncio.timeout(10):
        assert await anext(events) == "event: story\ndata: 2\n\n"
    assert waits == [1, 2]
    await events.aclose()


@pytest.mark.parametrize(
    ("events", "pauses"),
    [(of_all, [AT_MOST_EVERY]), (lambda index: of_key(index, KEY), list(AFTERMATH))],
    ids=["all orders", "an order"],
)
async def test_a_page_is_told_of_many_records_as_of_one_after_each_pause(
    monkeypatch: pytest.MonkeyPatch, events: Callable[[Index], AsyncGenerator[str]], pauses: list[float]
) -> None:
    """Else each record has every open page ask for all of itself."""
    index = Index(10)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    told = events(index)
    first = asyncio.ensure_future(anext(told))
    await asyncio.sleep(0)
    index.add(seen())
    await first
    monkeypatch.setattr("shop_console.changes.asyncio.sleep", sleep)
    for _ in range(2 * len(pauses)):
        index.add(seen())
        index.add(seen(key=OTHER))
        await anext(told)
    await told.aclose()

    assert slept == 2 * pauses
