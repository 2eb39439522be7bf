"""A sleep that a test holds in its hand."""

import asyncio

_PATIENCE = 5  # seconds; only a failing test uses them up


class HeldSleep:
    """Sleeps until `release`; `asked` lists the seconds."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._begun = asyncio.Event()
        self._ended = asyncio.Event()
        self._released = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self._begun.set()
        try:
            await self._released.wait()
        finally:
            self._ended.set()

    async def begun(self) -> None:
        async with asyncio.timeout(_PATIENCE):
            await self._begun.wait()

    async def ended(self) -> None:
        """Wait until a sleep is over or was cut short."""
        async with asyncio.timeout(_PATIENCE):
            await self._ended.wait()

    def release(self) -> None:
        self._released.set()
