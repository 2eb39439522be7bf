"""Server-sent events for pages that are open."""

import asyncio
from collections.abc import AsyncGenerator

from shop_console.index import Index

AT_MOST_EVERY = 1.0
"""Seconds between two events."""
AFTERMATH = (1.0, 2.0, 4.0)
"""Seconds after a record at which its story is looked at again: an e-mail and an inbox send no record."""
STILL_HERE = 15.0
"""Seconds of silence after which a comment shows that somebody is there."""


async def of_all(index: Index) -> AsyncGenerator[str]:
    """An event `orders` whenever a record came, and not too often."""
    version = index.version
    while True:
        try:
            async with asyncio.timeout(STILL_HERE):
                version = await index.wait(version)
        except TimeoutError:
            yield ": still here\n\n"
        else:
            yield f"event: orders\ndata: {version}\n\n"
            await asyncio.sleep(AT_MOST_EVERY)


async def of_key(index: Index, key: str) -> AsyncGenerator[str]:
    """An event `story` whenever a record of a key came, and a few more soon after."""
    version, changes = index.version, -1
    while True:
        order = index.get(key)
        if order is not None and order.changes != changes:
            changes = order.changes
            for pause in AFTERMATH:
                yield f"event: story\ndata: {changes}\n\n"
                await asyncio.sleep(pause)
            continue
        try:
            async with asyncio.timeout(STILL_HERE):
                version = await index.wait(version)
        except TimeoutError:
            yield ": still here\n\n"
