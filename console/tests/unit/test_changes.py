"""What an open page is told, and that it waits in between."""

import asyncio

import pytest
from shop_console import changes
from shop_console.changes import of_key
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
