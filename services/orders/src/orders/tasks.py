"""Which task leads to which use case."""

from datetime import timedelta
from uuid import UUID

from outboxed.tasks import Task, TaskKind

from orders import handlers
from orders.ports import UnitOfWork


def task_kinds() -> list[TaskKind[UnitOfWork]]:
    """A deadline makes no call: the order itself says whether it is still PENDING."""
    limit = timedelta(seconds=5)
    return [TaskKind(handlers.PAYMENT_DEADLINE, record=_expire, locks=_order, limit=limit, log_as="order_id")]


def _order(task: Task) -> str:
    return task.key


async def _expire(task: Task, _: object, uow: UnitOfWork) -> None:
    await handlers.expire_order(UUID(task.key), uow)
