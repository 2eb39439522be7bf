"""Waiting that never outlasts the process: a slow job ends with the server, a withheld answer with its client too."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request

Sleep = Callable[[float], Awaitable[None]]


class StoppingError(Exception):
    """The server stops, so a job that was still waiting isn't done."""


class Delays:
    def __init__(self, sleep: Sleep, stopping: asyncio.Event) -> None:
        self._sleep = sleep
        self._stopping = stopping

    async def before_job(self, seconds: float) -> None:
        """Wait whether the client stays or not: a processor that is late charges all the same."""
        if not seconds:
            return
        await _first_of(self._slept(seconds), self._stopping.wait())
        if self._stopping.is_set():
            raise StoppingError

    async def withhold(self, seconds: float, request: Request) -> None:
        """Keep a finished answer back until the time is over, the client has gone or the server stops."""
        if not seconds:
            return
        await _first_of(self._slept(seconds), self._stopping.wait(), _disconnected(request))

    async def _slept(self, seconds: float) -> None:
        await self._sleep(seconds)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
