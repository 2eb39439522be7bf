"""Which task leads to which use case. Charges and refunds never give up: somebody's money depends on them."""

from datetime import timedelta
from uuid import UUID

from outboxed.ports import UnitOfWorkFactory
from outboxed.tasks import Task, TaskKind

from payments import handlers
from payments.handlers import ChargeOutcome
from payments.ports import PaymentGateway, UnitOfWork


def task_kinds(
    unit_of_work: UnitOfWorkFactory[UnitOfWork], gateway: PaymentGateway, *, gateway_timeout: float
) -> list[TaskKind[UnitOfWork]]:
    """`gateway_timeout` (seconds) is for one call; a charge may need two."""

    async def charge(task: Task) -> ChargeOutcome:
        return await handlers.charge_payment(UUID(task.key), task.attempts, unit_of_work, gateway)

    async def refund(task: Task) -> str | None:
        return await handlers.refund_payment(UUID(task.key), unit_of_work, gateway)

    # short, because a charge whose worker was killed waits for its lease, which is longer than this
    limit = timedelta(seconds=2 * gateway_timeout + 0.5)
    return [
        TaskKind(handlers.CHARGE, _record_charge, charge, limit, concurrency=16, log_as="order_id"),
        TaskKind(handlers.REFUND, _record_refund, refund, limit, concurrency=8, log_as="order_id"),
    ]


async def _record_charge(task: Task, outcome: ChargeOutcome, uow: UnitOfWork) -> None:
    await handlers.record_charge(UUID(task.key), outcome, uow)


async def _record_refund(task: Task, charge_id: str | None, uow: UnitOfWork) -> None:
    await handlers.record_refund(UUID(task.key), charge_id, uow)
