"""orders <- payments: each expected message does its job here, through the real subscriber."""

from pathlib import Path
from typing import Any

import pytest
from orders.domain import Order, OrderStatus
from outboxed.consuming import Subscriber
from outboxed.testing.suites.consumer import ConsumedPactsSuite, expectations_of

from ..factories import OrderFactory
from ..fakes import stored
from ..unit.conftest import Database
from .expectations import ANOTHER_ORDER_ID, OF_PAYMENTS, ORDER_ID


@pytest.fixture
async def order(database: Database) -> Any:
    pending, another = (OrderFactory.create(order_id=order_id) for order_id in (ORDER_ID, ANOTHER_ORDER_ID))
    await stored(database, orders=[pending, another])
    return pending


def status_of(order: Order, database: Database) -> Any:
    return database.state.table("orders")[order.id].status


async def test_a_captured_payment_confirms_the_order(database: Database, subscriber: Subscriber, order: Order) -> None:
    await OF_PAYMENTS.receive("a payment was captured", subscriber, database.outcome)

    assert status_of(order, database) is OrderStatus.CONFIRMED


async def test_a_declined_payment_cancels_the_order(database: Database, subscriber: Subscriber, order: Order) -> None:
    await OF_PAYMENTS.receive("a payment was declined", subscriber, database.outcome)

    assert status_of(order, database) is OrderStatus.CANCELLED


@pytest.mark.usefixtures("order")
class TestExpectations(ConsumedPactsSuite):
    expectation = expectations_of(OF_PAYMENTS)


def test_the_pact_file_says_what_the_expectations_say(pact_folder: Path, write_contracts: bool) -> None:
    OF_PAYMENTS.file(pact_folder).check(write=write_contracts)
