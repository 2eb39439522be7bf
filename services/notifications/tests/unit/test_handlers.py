"""The use cases, where the worker's tests don't reach."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from notifications import handlers
from notifications.consumed_events import PaymentRefunded
from notifications.domain import Kind, OrderNotifications
from outboxed.testing.memory import InMemoryTaskQueue

from ..factories import EMAIL, OrderNotificationsFactory
from ..fakes import RecordingMailer, stored
from .conftest import Database

NOBODY = None
UNADDRESSED = OrderNotifications(uuid4()).refunded()
UNTOLD = OrderNotifications(uuid4()).confirmed(EMAIL)


@pytest.mark.parametrize(
    ("order", "kind"),
    [(NOBODY, Kind.REFUND), (UNADDRESSED, Kind.REFUND), (UNTOLD, Kind.REFUND)],
    ids=["an unknown order", "no address yet", "no such e-mail"],
)
async def test_where_there_is_nothing_to_send_nothing_is_sent(
    mailer: RecordingMailer, order: OrderNotifications | None, kind: Kind
) -> None:
    sent = await handlers.send_email(order, kind, mailer)

    assert sent is None
    assert not mailer.sent


async def test_an_email_is_marked_with_the_time_at_which_it_was_sent(database: Database) -> None:
    order = OrderNotificationsFactory.create()
    await stored(database, order)

    async with database() as uow:
        await handlers.record_sent(order.id, Kind.CONFIRMATION, "<1@shop.example>", uow)

    told = database.state.table("order_notifications")[order.id].get(Kind.CONFIRMATION)
    assert told.sent_at == uow.now


async def test_a_later_event_schedules_its_own_email_alone(database: Database) -> None:
    told = OrderNotificationsFactory.create().failed(Kind.CONFIRMATION)  # and its task is gone
    await stored(database, told)

    async with database() as uow:
        await handlers.notify_of_refund(PaymentRefunded(order_id=told.id), uow)

    queue: InMemoryTaskQueue[Any] = InMemoryTaskQueue(database)
    tasks = await queue.claim(handlers.SEND_EMAIL, limit=10, lease=timedelta(seconds=30))
    assert [task.payload["kind"] for task in tasks] == [Kind.REFUND]
