"""Kafka records in, through FastStream's test broker and the real subscriber; state and events out."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from orders.domain import Order, OrderStatus
from outboxed.testing.records import decoded
from outboxed.testing.suites.consumer import ConsumerSuite, poisoned

from ..factories import OrderFactory, cancelled_order, confirmed_order, payment_captured, payment_declined
from ..fakes import stored
from .conftest import Consume, Database


def status_of(order: Order, database: Database) -> Any:
    return database.state.table("orders")[order.id].status


class TestRecords(ConsumerSuite):
    group = "orders"
    unread = (("payments", "payment.refunded.v1"),)
    spoil = poisoned(wrong_schema={"order_id": 5})

    async def event(self, database: Database, order_id: UUID) -> Any:
        await stored(database, orders=[OrderFactory.create(order_id=order_id)])
        return payment_captured(order_id)

    def handled(self, database: Database) -> Sequence[UUID]:
        sent = database.state.outbox.values()
        return [UUID(record.key) for record in sent if record.headers["ce_type"] == "order.confirmed.v1"]


async def test_a_captured_payment_confirms_the_order(database: Database, consume: Consume, order: Order) -> None:
    await consume(payment_captured(order.id))

    assert status_of(order, database) is OrderStatus.CONFIRMED
    [(event_type, data)] = decoded(database.state.outbox.values())
    assert event_type == "order.confirmed.v1"
    assert data["customer"]["email"] == order.customer.email


async def test_a_declined_payment_cancels_the_order_and_confirms_nothing(
    database: Database, consume: Consume, order: Order
) -> None:
    await consume(payment_declined(order.id))

    assert status_of(order, database) is OrderStatus.CANCELLED
    [(event_type, data)] = decoded(database.state.outbox.values())
    assert (event_type, data["reason"]) == ("order.cancelled.v1", "payment_declined")


async def test_a_capture_that_comes_after_a_cancellation_changes_nothing(database: Database, consume: Consume) -> None:
    order = cancelled_order()
    await stored(database, orders=[order])

    await consume(payment_captured(order.id))

    assert status_of(order, database) is OrderStatus.CANCELLED
    assert not database.state.outbox


async def test_events_replayed_onto_an_empty_inbox_change_nothing(database: Database, consume: Consume) -> None:
    order = confirmed_order()
    await stored(database, orders=[order])

    await consume(payment_captured(order.id), payment_declined(order.id))

    assert status_of(order, database) is OrderStatus.CONFIRMED
    assert not database.state.outbox


async def test_an_event_about_an_unknown_order_is_handled_and_changes_nothing(
    database: Database, consume: Consume
) -> None:
    await consume(payment_captured(uuid4()), payment_declined(uuid4()))

    assert len(database.state.inbox) == 2
    assert not database.state.dead_letters
