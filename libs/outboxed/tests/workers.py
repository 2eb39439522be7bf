"""Workers on an in-memory database, and an outside world that does what a test says."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from outboxed.ports import NewTask
from outboxed.tasks import Task, Worker
from outboxed.testing.memory import InMemoryDatabase

from .sample import InMemoryAccounts

Database = InMemoryDatabase[InMemoryAccounts]
MakeWorker = Callable[..., Worker[Any]]


@dataclass
class Outside:
    """The outside world: answers, fails with `error`, or keeps its callers waiting while `open` is not set."""

    calls: list[str] = field(default_factory=list)
    error: Exception | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    during: Callable[[], None] = lambda: None
    under_way: int = 0
    most: int = 0

    async def call(self, task: Task) -> str:
        self.calls.append(task.key)
        self.during()
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.open.wait()
        finally:
            self.under_way -= 1
        if self.error is not None:
            raise self.error
        return f"done {task.key}"


@dataclass
class Records:
    outcomes: list[str] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)

    async def record(self, _: Task, outcome: str, __: Any) -> None:
        self.outcomes.append(outcome)

    async def abandon(self, task: Task, _: Any) -> None:
        self.abandoned.append(task.key)


@dataclass
class Counts:
    """What a worker tells its metrics."""

    attempts: list[tuple[str, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def task_attempted(self, kind: str, outcome: str, seconds: float, due_for: float) -> None:
        self.attempts.append((kind, outcome))
        self.seconds += [seconds, due_for]


async def schedule(database: Database, *keys: str, kind: str = "call") -> None:
    async with database() as uow:
        for key in keys:
            uow.tasks.schedule(NewTask(kind, key))


def stored(database: Database, key: str = "1") -> Any:
    return database.state.tasks["call", key]
