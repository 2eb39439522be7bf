"""The use cases, one function each: an event or a task, a unit of work, ports."""

from uuid import UUID

from outboxed.ports import NewTask

from notifications.consumed_events import OrderCancelled, OrderConfirmed, PaymentRefunded
from notifications.domain import Channel, Kind, OrderNotifications, Status
from notifications.ports import Mailer, UnitOfWork

SEND_EMAIL = f"send_{Channel.EMAIL}"


async def notify_of_confirmation(event: OrderConfirmed, uow: UnitOfWork) -> None:
    """The order was confirmed."""
    before = await _notifications_of(event.order_id, uow)
    _save(before, before.confirmed(event.customer.email), uow)


async def notify_of_cancellation(event: OrderCancelled, uow: UnitOfWork) -> None:
    """The order was cancelled."""
    before = await _notifications_of(event.order_id, uow)
    _save(before, before.cancelled(event.customer.email), uow)


async def notify_of_refund(event: PaymentRefunded, uow: UnitOfWork) -> None:
    """The money went back; the e-mail waits until the address is known."""
    before = await _notifications_of(event.order_id, uow)
    _save(before, before.refunded(), uow)


async def send_email(order: OrderNotifications | None, kind: Kind, mailer: Mailer) -> str | None:
    """Send, holding no transaction; the Message-ID, or None where there is nothing to send.

    Raises MailerUnavailableError: try again; EmailRefusedError: don't.
    """
    notification = order.get(kind) if order else None
    if order is None or order.email is None or notification is None or notification.status is Status.SENT:
        return None
    return await mailer.send(kind, order.email, order.id)


async def record_sent(order_id: UUID, kind: Kind, message_id: str | None, uow: UnitOfWork) -> None:
    """Write down that the mail server took it."""
    order = await uow.notifications.get(order_id)
    if order is not None and message_id is not None:
        uow.notifications.save(order.sent(kind, message_id, uow.now))


async def record_failed(order_id: UUID, kind: Kind, uow: UnitOfWork) -> None:
    """Write down that it will never arrive."""
    order = await uow.notifications.get(order_id)
    if order is not None:
        uow.notifications.save(order.failed(kind))


async def _notifications_of(order_id: UUID, uow: UnitOfWork) -> OrderNotifications:
    return await uow.notifications.get(order_id) or OrderNotifications(order_id)


def _save(before: OrderNotifications, after: OrderNotifications, uow: UnitOfWork) -> None:
    if after is before:
        return
    if before.version == 0:
        uow.notifications.add(after)
    else:
        uow.notifications.save(after)
    for kind in after.sendable:
        if kind not in before.sendable:
            uow.tasks.schedule(_send_task(after.id, kind))


def _send_task(order_id: UUID, kind: Kind) -> NewTask:
    """One group an order: its notifications go out one at a time, in order."""
    payload = {"order_id": str(order_id), "kind": kind.value}
    return NewTask(f"send_{kind.channel}", f"{kind.value}.{order_id}", payload=payload, group=str(order_id))
