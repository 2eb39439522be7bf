"""Calls to the outside and deadlines, each under a lease."""

from outboxed._extras import extra

with extra("telemetry", of="outboxed.tasks"):
    from outboxed.tasks._attempts import Attempt, Attempts
    from outboxed.tasks._call_thread import CallThread
    from outboxed.tasks._queue import LeaseLostError, SqlTaskQueue, Task, TaskKind, TaskQueue, TaskStatements
    from outboxed.tasks._worker import Ending, Worker, WorkerMetrics

__all__ = [
    "Attempt",
    "Attempts",
    "CallThread",
    "Ending",
    "LeaseLostError",
    "SqlTaskQueue",
    "Task",
    "TaskKind",
    "TaskQueue",
    "TaskStatements",
    "Worker",
    "WorkerMetrics",
]
