"""What a test may not leave to the next one: tasks, threads, environment variables, a folder, a log level."""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

SECONDS = 0.5
"""How long a thread or a task may need to end by itself, such as one that was cancelled at the end of the test."""
POOLS = ("asyncio_", "AnyIO worker thread")
"""Threads of these names belong to their event loop, whoever used one first."""
OF_PYTEST = "PYTEST_"


class LeakError(AssertionError):
    """A test left something behind; it is taken back, so that the next test starts as this one did."""


_test: ContextVar[object] = ContextVar("testkit_test")


@asynccontextmanager
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Raise LeakError at the end of the block for tasks that it, or a task of it, made and that still run.

    Tasks of others, such as of a session's fixtures, don't count: whose a task is, its context tells.
    """
    loop, block = asyncio.get_running_loop(), object()
    factory = loop.get_task_factory()
    made: set[asyncio.Future[Any]] = set()

    def remember(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        task = factory(loop, coroutine, **options) if factory else asyncio.Task(coroutine, loop=loop, **options)
        if _test.get(None) is block:
            made.add(task)
            task.add_done_callback(made.discard)
        return task

    loop.set_task_factory(remember)
    _test.set(block)
    try:
        yield
    finally:
        loop.set_task_factory(factory)
        if ending := made - {asyncio.current_task()}:
            await asyncio.wait(ending, timeout=SECONDS)
        left = [task for task in ending if not task.done()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if left:
            names = ", ".join(sorted(_named(task) for task in left))
            raise LeakError(f"{len(left)} task(s) still run: {names}; await or cancel each")


def _named(task: Any) -> str:
    return getattr(task.get_coro(), "__qualname__", repr(task))


@dataclass(frozen=True)
class Threads:
    """Those that ran at a moment."""

    before: frozenset[threading.Thread]

    @classmethod
    def now(cls) -> Self:
        """At this moment."""
        return cls(frozenset(threading.enumerate()))

    def leaks(self) -> Iterator[str]:
        """Sentences about those that run now and did not then, after a moment to end."""
        for thread in set(threading.enumerate()) - self.before:
            if thread.name.startswith(POOLS):
                continue
            thread.join(SECONDS)
            if thread.is_alive():
                yield f"the thread {thread.name} still runs: stop and join it"


@dataclass(frozen=True)
class ProcessSettings:
    """What all tests of a process share."""

    environment: dict[str, str]
    folder: Path
    log_level: int

    @classmethod
    def now(cls) -> Self:
        """As they are."""
        return cls(os.environ.copy(), Path.cwd(), logging.getLogger().level)

    def leaks(self) -> Iterator[str]:
        """Sentences about what is another than it was; it is put back."""
        now = self.now()
        before = self.environment
        for name in sorted({*before, *now.environment}):
            if before.get(name) != now.environment.get(name) and not name.startswith(OF_PYTEST):
                yield f"the environment variable {name} is changed: use monkeypatch.setenv"
                if name in before:
                    os.environ[name] = before[name]
                else:
                    del os.environ[name]
        if now.folder != self.folder:
            yield f"the working directory is {now.folder}: use monkeypatch.chdir"
            os.chdir(self.folder)
        if now.log_level != self.log_level:
            yield f"the level of the root logger is {now.log_level}: put it back, or use caplog.set_level"
            logging.getLogger().setLevel(self.log_level)
