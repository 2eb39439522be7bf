"""Calls to the outside and deadlines, each under a lease."""

from outboxed.tasks._queue import LeaseLostError, SqlTaskQueue, Task, TaskKind, TaskQueue
from outboxed.tasks._worker import Worker

__all__ = ["LeaseLostError", "SqlTaskQueue", "Task", "TaskKind", "TaskQueue", "Worker"]
