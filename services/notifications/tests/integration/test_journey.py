"""The service between Kafka, PostgreSQL and SMTP: consumer and worker as they run in production."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from backing_services.waiting import eventually
from notifications.domain import Kind, Status
from notifications.storage import SqlNotificationsUnitOfWork
from notifications.tasks import task_kinds
from outboxed.consuming import ConsumerRole
from outboxed.storage import SqlTransactions
from outboxed.tasks import SqlTaskQueue, Worker
from outboxed.testing.adapters import SqlBackend
from outboxed.testing.records import consumer_record
from outboxed.testing.services import running
from outboxed.testing.suites.delivery import DeliverySuite
from outboxed.testing.topics import Topics

from ..factories import order_cancelled, order_confirmed, payment_refunded
from .conftest import Mailbox

Transactions = SqlTransactions[SqlNotificationsUnitOfWork]
MakeConsumer = Callable[..., ConsumerRole]


@pytest.fixture
def worker(transactions: Transactions, mailbox: Mailbox) -> Worker[Any]:
    queue = SqlTaskQueue(transactions.engine, transactions.clock)
    kinds = task_kinds(mailbox.mailer(), smtp_timeout=5)
    return Worker(kinds, queue, transactions, transactions.tasks_scheduled)


async def statuses(transactions: Transactions, order_id: UUID) -> dict[Kind, Status]:
    async with transactions() as uow:
        order = await uow.notifications.find(order_id)
    return {notification.kind: notification.status for notification in order.notifications} if order else {}


def message_ids(mailbox: Mailbox) -> list[str]:
    """Oldest first."""
    return [message.message_id for message in mailbox.store][::-1]


async def test_an_order_that_is_confirmed_cancelled_and_refunded_gets_three_emails_in_order(
    transactions: Transactions, consumer_role: MakeConsumer, worker: Worker[Any], topics: Topics, mailbox: Mailbox
) -> None:
    order_id = uuid4()

    async with running(consumer_role().run, worker.run):
        await topics.send(order_confirmed(order_id, email="grace@example.com"))
        await eventually(lambda: len(mailbox.store) == 1)
        await topics.send(order_cancelled(order_id))
        await eventually(lambda: len(mailbox.store) == 2)
        await topics.send(payment_refunded(order_id))
        await eventually(lambda: len(mailbox.store) == 3)
        await eventually(lambda: _all_sent(transactions, order_id))

    assert message_ids(mailbox) == [
        f"{kind}.{order_id}@shop.example" for kind in ("confirmation", "cancellation", "refund")
    ]
    assert {each.address for message in mailbox.store for each in message.to} == {"grace@example.com"}


async def _all_sent(transactions: Transactions, order_id: UUID) -> bool:
    return set((await statuses(transactions, order_id)).values()) == {Status.SENT}


class TestDelivery(DeliverySuite):
    topic = "orders"

    async def event(self, _: Transactions) -> Any:
        return order_confirmed(uuid4())

    async def is_handled(self, transactions: Transactions, event: Any) -> bool:
        return await statuses(transactions, UUID(event.key.decode())) == {Kind.CONFIRMATION: Status.PENDING}


async def test_an_event_that_is_sent_again_and_again_makes_one_email(
    transactions: Transactions, consumer_role: MakeConsumer, worker: Worker[Any], topics: Topics, mailbox: Mailbox
) -> None:
    confirmed = order_confirmed(uuid4())
    poison = consumer_record("orders", None, key=confirmed.key)

    async with running(consumer_role().run, worker.run):
        await topics.send(confirmed, poison, confirmed)
        await eventually(lambda: len(mailbox.store) == 1)
        await topics.send(confirmed)
        await eventually(lambda: _all_committed(topics, 4))

    assert len(mailbox.store) == 1
    assert len(await SqlBackend(transactions).inbox()) == 1
    assert len(await SqlBackend(transactions).dead_letters()) == 1


async def _all_committed(topics: Topics, count: int) -> bool:
    return await topics.committed("orders") == count


async def test_an_email_that_was_cut_after_data_comes_once_more_under_the_same_message_id(
    transactions: Transactions, consumer_role: MakeConsumer, worker: Worker[Any], topics: Topics, mailbox: Mailbox
) -> None:
    order_id = uuid4()
    mailbox.fault(action="drop_after_data")

    async with running(consumer_role().run, worker.run):
        await topics.send(order_confirmed(order_id))
        await eventually(lambda: _all_sent(transactions, order_id))

    assert message_ids(mailbox) == [f"confirmation.{order_id}@shop.example"] * 2


async def test_an_address_that_is_refused_ends_as_a_dead_letter_and_is_seen_to_have_failed(
    transactions: Transactions, consumer_role: MakeConsumer, worker: Worker[Any], topics: Topics, mailbox: Mailbox
) -> None:
    order_id = uuid4()
    mailbox.fault(action="status", status=550)

    async with running(consumer_role().run, worker.run):
        await topics.send(order_confirmed(order_id))
        await eventually(lambda: _has_failed(transactions, order_id))

    assert len(await SqlBackend(transactions).dead_tasks()) == 1
    assert not await SqlBackend(transactions).tasks()


async def _has_failed(transactions: Transactions, order_id: UUID) -> bool:
    return await statuses(transactions, order_id) == {Kind.CONFIRMATION: Status.FAILED}
