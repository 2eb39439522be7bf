"""Kafka records in, through FastStream's test broker and the real subscriber; state and events out."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from orders.domain import Order, OrderStatus
from outboxed.testing.records import decoded, event_record, odd, poison

from ..factories import OrderFactory, cancelled_order, confirmed_order, payment_captured, payment_declined
from ..fakes import stored
from .conftest import Consume, Database


def status_of(order: Order, database: Database) -> OrderStatus:
    found: Order = database.state.table("orders")[order.id]
    return found.status


async def test_a_captured_payment_confirms_the_order(database: Database, consume: Consume) -> None:
    order = OrderFactory.create()
    await stored(database, orders=[order])

    await consume(payment_captured(order.id))

    assert status_of(order, database) is OrderStatus.CONFIRMED
    [(event_type, data)] = decoded(database.state.outbox.values())
    assert event_type == "order.confirmed.v1"
    assert data["customer"]["email"] == order.customer.email


async def test_a_declined_payment_cancels_the_order_and_confirms_nothing(database: Database, consume: Consume) -> None:
    order = OrderFactory.create()
    await stored(database, orders=[order])

    await consume(payment_declined(order.id))

    assert status_of(order, database) is OrderStatus.CANCELLED
    [(event_type, data)] = decoded(database.state.outbox.values())
    assert (event_type, data["reason"]) == ("order.cancelled.v1", "payment_declined")


async def test_the_same_event_twice_confirms_once(database: Database, consume: Consume) -> None:
    order = OrderFactory.create()
    await stored(database, orders=[order])
    event = payment_captured(order.id)

    await consume(event, event)
    await consume(event)

    assert len(database.state.outbox) == 1


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


async def test_many_orders_are_handled_in_one_batch(database: Database, consume: Consume) -> None:
    orders = [OrderFactory.create() for _ in range(20)]
    await stored(database, orders=orders)

    await consume(*(payment_captured(order.id) for order in orders))

    assert {status_of(order, database) for order in orders} == {OrderStatus.CONFIRMED}


def _poison(order: Order) -> Mapping[str, Any]:
    return poison(payment_captured(order.id), wrong_schema={"order_id": 5})


@pytest.mark.parametrize("kind", _poison(OrderFactory.create()))
async def test_poison_becomes_one_dead_letter_and_its_neighbours_are_handled(
    kind: str, database: Database, consume: Consume
) -> None:
    order = OrderFactory.create()
    await stored(database, orders=[order])

    await consume(_poison(order)[kind], payment_captured(order.id))

    [letter] = database.state.dead_letters.values()
    assert letter.reason
    assert letter.group == "orders"
    assert status_of(order, database) is OrderStatus.CONFIRMED


async def test_odd_records_that_are_no_poison_leave_no_dead_letter(database: Database, consume: Consume) -> None:
    order = OrderFactory.create()
    await stored(database, orders=[order])
    captured = payment_captured(order.id)

    await consume(
        event_record("payments", "payment.exploded.v1", {}, key="any"),
        event_record("payments", "payment.refunded.v1", {"order_id": str(order.id)}, key=str(order.id)),
        odd(captured),
    )

    assert not database.state.dead_letters
    assert status_of(order, database) is OrderStatus.CONFIRMED
