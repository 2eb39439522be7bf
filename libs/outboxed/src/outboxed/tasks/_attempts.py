"""What became of a worker's latest attempts: the table keeps none, for a task that is done is a row that is gone."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from outboxed.tasks._queue import Task

KEPT = 5_000
"""Of a process; the oldest give way to new ones."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a task: `began` is the database's time of the claim, `seconds` the time until it was recorded."""

    kind: str
    key: str
    number: int
    began: datetime
    seconds: float
    outcome: str


class Attempts:
    """The latest attempts of this process, in memory: another process has its own, and an end forgets them."""

    def __init__(self, kept: int = KEPT) -> None:
        self._latest: deque[tuple[str, Attempt]] = deque(maxlen=kept)

    def add(self, task: Task, seconds: float, outcome: str) -> None:
        """Remember one by its task's group, or its key where it has none."""
        name = task.group or task.key
        self._latest.append((name, Attempt(task.kind, task.key, task.attempts, task.now, seconds, outcome)))

    def of(self, name: str) -> Sequence[Attempt]:
        """Those of a group or key, oldest first."""
        return tuple(attempt for its_name, attempt in self._latest if its_name == name)
