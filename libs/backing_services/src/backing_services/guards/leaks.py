"""What a test may not leave to the next one: tasks, threads, environment variables, a folder, how logs are written."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

SECONDS = 0.5
"""How long a thread or a task may take to end by itself, such as one that was cancelled at the end of the test."""
POOLS = ("asyncio_", "AnyIO worker thread")
"""Threads with these names belong to an event loop, not to the test that first used one."""
OF_PYTEST = b"PYTEST_"


class LeakError(AssertionError):
    """A test left something behind. The guard has undone it, so that the next test starts as this one did."""


_test: ContextVar[object] = ContextVar("backing_services_test")


class Tasks:
    """The tasks that a test, its fixtures and their tasks make on a loop while the loop is watched.

    Other tasks, such as those of a session's fixtures, don't count: a task's context tells whose task it is.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._made: set[asyncio.Future[Any]] = set()

    def watch(self) -> None:
        """Begin."""
        self._factory = self._loop.get_task_factory()
        self._loop.set_task_factory(self._make)
        self._token = _test.set(self)

    def _make(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        make = self._factory or _plain_task
        task = make(loop, coroutine, **options)
        if _test.get(None) is self:
            self._made.add(task)
            task.add_done_callback(self._made.discard)
        return task

    def end(self) -> None:
        """Stop watching, while the loop stands still. Cancels tasks that don't end, and raises LeakError for them."""
        _test.reset(self._token)
        self._loop.set_task_factory(self._factory)
        running = [task for task in self._made if not task.done()]
        if running and (left := self._loop.run_until_complete(_cancelled(running))):
            raise LeakError(f"{len(left)} task(s) still run: {', '.join(sorted(left))}; await or cancel each")


async def _cancelled(running: Sequence[asyncio.Future[Any]]) -> list[str]:
    """Cancel the tasks that don't end by themselves in a moment, and return their names."""
    _, left = await asyncio.wait(running, timeout=SECONDS)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    return [_named(task) for task in left]


def _plain_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
    return asyncio.Task(coroutine, loop=loop, **options)


def _named(task: Any) -> str:
    return getattr(task.get_coro(), "__qualname__", repr(task))


@dataclass(frozen=True)
class Threads:
    """The threads that ran at a moment."""

    before: frozenset[threading.Thread]

    @classmethod
    def now(cls) -> Self:
        """The threads of this moment."""
        return cls(frozenset(threading.enumerate()))

    def leaks(self) -> Iterator[str]:
        """Wait a moment for threads to end, then yield a sentence about each thread that did not run before."""
        for thread in set(threading.enumerate()) - self.before:
            if thread.name.startswith(POOLS):
                continue
            thread.join(SECONDS)
            if thread.is_alive():
                yield f"the thread {thread.name} still runs: stop and join it"


@dataclass
class ProcessSettings:
    """The settings that all tests of a process share."""

    environment: dict[bytes, bytes]
    folder: Path
    log_level: int
    structlog: dict[str, Any] | None

    @classmethod
    def now(cls) -> Self:
        """The present settings."""
        return cls({**os.environb}, Path.cwd(), logging.getLogger().level, _structlogs_configuration())

    def accept(self, before: Self) -> None:
        """Accept what was changed on purpose since `before`."""
        now = self.now()
        for name in _changed(before.environment, now.environment):
            if name in now.environment:
                self.environment[name] = now.environment[name]
            else:
                self.environment.pop(name, None)
        if before.folder != now.folder:
            self.folder = now.folder
        if before.log_level != now.log_level:
            self.log_level = now.log_level
        if before.structlog != now.structlog:
            self.structlog = now.structlog

    def leaks(self) -> Iterator[str]:
        """Put back what has changed, and yield a sentence about each change."""
        now = self.now()
        for name in _changed(self.environment, now.environment):
            if not name.startswith(OF_PYTEST):
                yield f"the environment variable {os.fsdecode(name)} is changed: use monkeypatch.setenv"
                if name in self.environment:
                    os.environb[name] = self.environment[name]
                else:
                    del os.environb[name]
        if now.folder != self.folder:
            yield f"the working directory is {now.folder}: use monkeypatch.chdir"
            os.chdir(self.folder)
        if now.log_level != self.log_level:
            yield f"the level of the root logger is {now.log_level}: put it back, or use caplog.set_level"
            logging.getLogger().setLevel(self.log_level)
        if self.structlog is not None and now.structlog != self.structlog:
            yield "structlog is configured in another way: put it back, as structlog.get_config() had it before"
            sys.modules["structlog"].configure(**self.structlog)


def _structlogs_configuration() -> dict[str, Any] | None:
    """None as long as nobody has imported it."""
    structlog = sys.modules.get("structlog")
    if structlog is None:
        return None
    configuration: dict[str, Any] = structlog.get_config()
    configuration["processors"] = [*configuration["processors"]]  # the list itself may be changed in place
    return configuration


def _changed(before: Mapping[bytes, bytes], now: Mapping[bytes, bytes]) -> list[bytes]:
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
