"""Which task leads to which use case. Charges and refunds never give up: somebody's money depends on them."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from outboxed.tasks import Task, TaskKind

from payments import handlers
from payments.domain import Payment, payment_id_of
from payments.handlers import ChargeOutcome
from payments.ports import PaymentGateway, UnitOfWork


def task_kinds(gateway: PaymentGateway, *, gateway_timeout: float) -> list[TaskKind[UnitOfWork]]:
    """`gateway_timeout` (seconds) is for one call; a charge may need two."""

    async def charge(task: Task) -> ChargeOutcome:
        return await handlers.charge_payment(task.state, task.attempts, task.now, gateway)

    async def refund(task: Task) -> str | None:
        return await handlers.refund_payment(task.state, gateway)

    # short, because a charge whose worker was killed waits for its lease, which is longer than this
    limit = timedelta(seconds=2 * gateway_timeout + 0.5)
    return [
        TaskKind(handlers.CHARGE, _record_charge, charge, _payments, _order, limit, concurrency=16, log_as="order_id"),
        TaskKind(handlers.REFUND, _record_refund, refund, _payments, _order, limit, concurrency=8, log_as="order_id"),
    ]


async def _payments(tasks: Sequence[Task], uow: UnitOfWork) -> Sequence[Payment | None]:
    ids = [payment_id_of(UUID(task.key)) for task in tasks]
    payments = await uow.payments.find_many(ids)
    return [payments.get(payment_id) for payment_id in ids]


def _order(task: Task) -> str:
    return task.key


async def _record_charge(task: Task, outcome: ChargeOutcome, uow: UnitOfWork) -> None:
    await handlers.record_charge(UUID(task.key), outcome, uow)


async def _record_refund(task: Task, charge_id: str | None, uow: UnitOfWork) -> None:
    await handlers.record_refund(UUID(task.key), charge_id, uow)
