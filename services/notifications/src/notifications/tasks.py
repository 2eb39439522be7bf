"""Which task leads to which use case, and when an e-mail is given up."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from outboxed.tasks import Task, TaskKind

from notifications import handlers
from notifications.domain import Kind, OrderNotifications
from notifications.ports import EmailRefusedError, Mailer, UnitOfWork

MAX_UNEXPECTED = 10
"""Attempts after which an error that nobody foresaw makes a dead letter; a mail server's outage never does."""


def task_kinds(mailer: Mailer, *, smtp_timeout: float) -> list[TaskKind[UnitOfWork]]:
    """`smtp_timeout` (seconds) is for the whole conversation."""

    async def send(task: Task) -> str | None:
        _, kind = _email_of(task)
        return await handlers.send_email(task.state, kind, mailer)

    # half a second to read who gets the e-mail and to say goodbye to the mail server
    limit = timedelta(seconds=smtp_timeout + 0.5)
    return [
        TaskKind(
            handlers.SEND_EMAIL,
            record=_record_sent,
            call=send,
            read=_orders,
            locks=_order,
            limit=limit,
            gives_up=_gives_up,
            abandon=_record_failed,
            log_as="order_id",
        )
    ]


async def _orders(tasks: Sequence[Task], uow: UnitOfWork) -> Sequence[OrderNotifications | None]:
    ids = [_email_of(task)[0] for task in tasks]
    orders = await uow.notifications.find_many(ids)
    return [orders.get(order_id) for order_id in ids]


def _order(task: Task) -> str:
    return str(_email_of(task)[0])


def _gives_up(error: Exception, attempts: int) -> bool:
    return isinstance(error, EmailRefusedError) or attempts >= MAX_UNEXPECTED


async def _record_sent(task: Task, message_id: str | None, uow: UnitOfWork) -> None:
    await handlers.record_sent(*_email_of(task), message_id, uow)


async def _record_failed(task: Task, uow: UnitOfWork) -> None:
    await handlers.record_failed(*_email_of(task), uow)


def _email_of(task: Task) -> tuple[UUID, Kind]:
    return UUID(task.payload["order_id"]), Kind(task.payload["kind"])
