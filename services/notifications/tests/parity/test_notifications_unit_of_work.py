"""The notifications' unit of work: the same in memory and on PostgreSQL."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from notifications.app import NAME
from notifications.consumers import ROUTES
from notifications.domain import Kind, OrderNotifications, Status
from notifications.ports import EmailRefusedError
from notifications.storage import order_notifications
from notifications.tasks import task_kinds
from outboxed.consuming import BatchConsumer
from outboxed.messages import Record
from outboxed.process import Metrics
from outboxed.storage import ConcurrentInsertError
from outboxed.tasks import Worker
from outboxed.testing.adapters import Backend
from outboxed.testing.suites.repository import RepositorySuite

from ..factories import EMAIL, NOW, OrderNotificationsFactory, order_cancelled, order_confirmed, payment_refunded
from ..fakes import RecordingMailer

Consume = Callable[..., Awaitable[None]]


@pytest.fixture
def consume(backend: Backend) -> Consume:
    consumer = BatchConsumer(NAME, ROUTES, backend.database, Metrics(backend.clock))

    async def feed(*records: Any) -> None:
        raw = [Record(r.topic, r.partition, r.offset, r.key, r.value, tuple(r.headers)) for r in records]
        # as Kafka's side does: what a concurrent insert spoiled comes again
        while True:
            with contextlib.suppress(ConcurrentInsertError):
                await consumer.handle(raw)
                return

    return feed


@pytest.fixture
def mailer() -> RecordingMailer:
    return RecordingMailer()


@pytest.fixture
def worker(backend: Backend, mailer: RecordingMailer) -> Worker[Any]:
    database = backend.database
    return Worker(task_kinds(mailer, smtp_timeout=5), backend.queue, database, database.tasks_scheduled)


async def find(backend: Backend, order_id: UUID) -> Any:
    async with backend.database() as uow:
        return await uow.notifications.find(order_id)


class TestNotifications(RepositorySuite):
    table = order_notifications
    repository = "notifications"

    def versions(self) -> Sequence[OrderNotifications]:
        order = OrderNotificationsFactory.create()
        cancelled = order.cancelled(EMAIL)
        return order, cancelled, cancelled.sent(Kind.CONFIRMATION, "<1@shop.example>", NOW)

    @pytest.mark.parametrize(
        "order",
        [
            OrderNotificationsFactory.create(kinds=list(Kind))
            .sent(Kind.CONFIRMATION, "<1@shop.example>", NOW)
            .failed(Kind.REFUND),
            OrderNotificationsFactory.create(email=None, kinds=[Kind.REFUND]),
        ],
        ids=["every status", "no address"],
    )
    async def test_an_order_is_found_whole(self, backend: Backend, order: OrderNotifications) -> None:
        assert await self.is_found_whole(backend, order)


HISTORIES = [
    [order_confirmed],
    [order_cancelled],
    [order_confirmed, order_cancelled, payment_refunded],
    [payment_refunded, order_cancelled],
    [payment_refunded, order_cancelled, order_confirmed],
    [order_cancelled, order_confirmed, payment_refunded],
    [payment_refunded, order_confirmed, order_cancelled],
]
EMAILS = [
    [Kind.CONFIRMATION],
    [Kind.CANCELLATION],
    [Kind.CONFIRMATION, Kind.CANCELLATION, Kind.REFUND],
    [Kind.CANCELLATION, Kind.REFUND],
    [Kind.CANCELLATION, Kind.REFUND],
    [Kind.CANCELLATION, Kind.REFUND],
    [Kind.CONFIRMATION, Kind.REFUND, Kind.CANCELLATION],
]


@pytest.mark.parametrize(("history", "emails"), list(zip(HISTORIES, EMAILS, strict=True)))
@pytest.mark.parametrize("together", [True, False])
async def test_a_history_leads_to_its_emails(
    consume: Consume,
    worker: Worker[Any],
    mailer: RecordingMailer,
    history: Sequence[Any],
    emails: Sequence[Kind],
    together: bool,
) -> None:
    order_id = uuid4()
    events = [event(order_id) for event in history]

    for batch in [events] if together else [[event] for event in events]:
        await consume(*batch)
    while await worker.run_due():
        pass

    assert [sent.kind for sent in mailer.sent] == emails


async def test_an_email_that_was_sent_is_written_down_with_its_time(
    backend: Backend, consume: Consume, worker: Worker[Any], order_id: UUID
) -> None:
    await consume(order_confirmed(order_id))
    backend.clock.advance(timedelta(hours=1))

    await worker.run_due()

    order = await find(backend, order_id)
    [sent] = order.notifications
    assert sent.status is Status.SENT
    assert sent.sent_at is not None
    assert abs(sent.sent_at - backend.clock.now()) < timedelta(minutes=1)


async def test_an_email_that_was_refused_is_written_down_and_gives_way_to_the_next(
    backend: Backend, consume: Consume, worker: Worker[Any], mailer: RecordingMailer, order_id: UUID
) -> None:
    await consume(order_confirmed(order_id), order_cancelled(order_id))
    mailer.error = EmailRefusedError("550")
    await worker.run_due()
    mailer.error = None

    await worker.run_due()

    order = await find(backend, order_id)
    assert [notification.status for notification in order.notifications] == [Status.FAILED, Status.SENT]
    assert [sent.kind for sent in mailer.sent] == [Kind.CANCELLATION]


async def test_concurrent_workers_send_each_email_once(
    consume: Consume, worker: Worker[Any], mailer: RecordingMailer
) -> None:
    orders = [uuid4() for _ in range(12)]
    await consume(*(order_confirmed(order_id) for order_id in orders))

    for _ in range(3):
        await asyncio.gather(*(worker.run_due() for _ in range(4)))

    assert sorted(sent.order_id for sent in mailer.sent) == sorted(orders)


async def test_the_first_events_of_an_order_may_be_handled_at_the_same_time(backend: Backend, consume: Consume) -> None:
    order_id = uuid4()

    await asyncio.gather(consume(order_cancelled(order_id)), consume(payment_refunded(order_id)))

    order = await find(backend, order_id)
    assert order.sendable == [Kind.CANCELLATION, Kind.REFUND]
