"""notifications <- orders, payments: each expected message does its job here, through the real subscriber."""

from pathlib import Path
from typing import Any

import pytest
from notifications.domain import Kind
from outboxed.consuming import Subscriber
from outboxed.testing.suites.consumer import ConsumedPactsSuite, expectations_of
from pact_faststream import MessagePact

from ..unit.conftest import Database
from .expectations import OF_ORDERS, OF_PAYMENTS, ORDER_ID


def told_in(database: Database) -> Any:
    return database.state.table("order_notifications")[ORDER_ID]


async def test_a_confirmed_order_schedules_its_confirmation(database: Database, subscriber: Subscriber) -> None:
    await OF_ORDERS.receive("an order was confirmed", subscriber, database.outcome)

    assert told_in(database).email == "ada@example.com"
    assert list(database.state.tasks) == [("send_email", f"{Kind.CONFIRMATION}.{ORDER_ID}")]


async def test_a_cancelled_order_schedules_its_cancellation(database: Database, subscriber: Subscriber) -> None:
    await OF_ORDERS.receive("an order was cancelled", subscriber, database.outcome)

    assert list(database.state.tasks) == [("send_email", f"{Kind.CANCELLATION}.{ORDER_ID}")]


async def test_a_refund_is_remembered_until_the_address_is_known(database: Database, subscriber: Subscriber) -> None:
    await OF_PAYMENTS.receive("a payment was refunded", subscriber, database.outcome)

    assert told_in(database).has(Kind.REFUND)
    assert not database.state.tasks


class TestExpectations(ConsumedPactsSuite):
    expectation = expectations_of(OF_ORDERS, OF_PAYMENTS)


@pytest.mark.parametrize("pact", [OF_ORDERS, OF_PAYMENTS], ids=["orders", "payments"])
def test_the_pact_file_says_what_the_expectations_say(
    pact: MessagePact, pact_folder: Path, write_contracts: bool
) -> None:
    pact.file(pact_folder).check(write=write_contracts)
