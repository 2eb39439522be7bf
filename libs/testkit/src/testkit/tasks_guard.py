"""The fixture that comes with each test that is a coroutine, where pytest-asyncio runs them (testkit.plugin)."""

import asyncio
from collections.abc import Iterator

import pytest_asyncio

from testkit.leaks import Tasks


@pytest_asyncio.fixture  # type: ignore[type-var]  # its types say no, but a plain one gets the loop too
def guard_of_tasks() -> Iterator[None]:
    """A task that the test leaves running fails it. Not a coroutine: those cost each test another half millisecond."""
    tasks = Tasks(asyncio.get_event_loop())
    tasks.watch()
    yield
    tasks.end()
