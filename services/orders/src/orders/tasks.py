"""Which task leads to which use case."""

from datetime import timedelta
from uuid import UUID

from outboxed.tasks import Task, TaskKind

from orders import handlers
from orders.ports import UnitOfWork


def task_kinds() -> list[TaskKind[UnitOfWork]]:
    """A deadline needs no outside call: the order itself says whether it is still PENDING."""
    return [
        TaskKind(handlers.PAYMENT_DEADLINE, call=_nothing, record=_expire, limit=timedelta(seconds=5), concurrency=8)
    ]


async def _nothing(_: Task) -> None:
    return None


async def _expire(task: Task, _: object, uow: UnitOfWork) -> None:
    await handlers.expire_order(UUID(task.key), uow)
