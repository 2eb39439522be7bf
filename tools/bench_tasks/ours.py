"""The worker of notifications with its kind of tasks, and no other role beside it; its call is none."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import anyio
from backing_services.postgres import connected
from backing_services.waiting import eventually
from notifications.domain import Kind
from notifications.storage import SqlNotificationsUnitOfWork
from notifications.tasks import task_kinds
from outboxed.process import Metrics
from outboxed.storage import Clock, SqlTransactions, create_engine
from outboxed.tasks import SqlTaskQueue, Worker

from tools.measuring.service import NAME, Log, run_as_service
from tools.measuring.turns import Turn, Watch

LEFT = "select count(*) from tasks"
LOOK_EVERY = 0.1
WITHIN = 300.0
SMTP_SECONDS = 10.0


class NoMailServer:
    """Has sent each e-mail at once: what is measured is what comes before and after."""

    async def send(self, kind: Kind, email: str, order_id: UUID) -> str:
        """See notifications.ports.Mailer."""
        del email
        return f"{kind.value}.{order_id}@shop.example"


def work(url: str, tasks: int, log: Log) -> Turn:
    """Do what the table has, in a new process. Raises StillWaitingError."""
    return run_as_service(_done(url, tasks), log)


async def _done(url: str, tasks: int) -> Turn:
    clock = Clock()
    metrics = Metrics(clock)
    engine = create_engine(url, application_name=NAME)
    transactions = SqlTransactions(engine, SqlNotificationsUnitOfWork, source=f"/{NAME}", clock=clock)
    transactions = replace(transactions, committed=metrics.committed)
    kinds = task_kinds(NoMailServer(), smtp_timeout=SMTP_SECONDS)
    queue, scheduled = SqlTaskQueue(engine, clock), transactions.tasks_scheduled
    worker: Worker[Any] = Worker(kinds, queue, transactions, scheduled, metrics)
    stop = anyio.Event()
    async with connected(url) as database, anyio.create_task_group() as group:

        async def all_are_done() -> bool:
            return not await database.fetchval(LEFT)

        watch = Watch()
        group.start_soon(worker.run, stop)
        await eventually(all_are_done, within=WITHIN, every=LOOK_EVERY)
        turn = watch.turn(tasks)
        stop.set()
    await engine.dispose()
    return turn
