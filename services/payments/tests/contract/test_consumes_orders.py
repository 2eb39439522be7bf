"""payments <- orders: each expected message does its job here, through the real subscriber."""

from decimal import Decimal
from pathlib import Path

from outboxed.consuming import Subscriber
from outboxed.testing.suites.consumer import ConsumedPactsSuite, expectations_of
from payments.domain import PaymentStatus

from ..fakes import payment_of
from ..unit.conftest import Database
from .expectations import OF_ORDERS, ORDER_ID


async def test_a_placed_order_requests_its_payment(database: Database, subscriber: Subscriber) -> None:
    await OF_ORDERS.receive("an order was placed", subscriber, database.outcome)

    payment = payment_of(ORDER_ID, database)
    assert payment.status is PaymentStatus.REQUESTED
    assert payment.charge is not None
    assert (payment.charge.amount, payment.charge.payment_method) == (Decimal("95.00"), "pm_card_ok")
    assert ("charge", str(ORDER_ID)) in database.state.tasks


async def test_a_cancelled_order_is_never_charged(database: Database, subscriber: Subscriber) -> None:
    await OF_ORDERS.receive("an order was cancelled", subscriber, database.outcome)

    assert payment_of(ORDER_ID, database).status is PaymentStatus.VOIDED
    assert not database.state.tasks


class TestExpectations(ConsumedPactsSuite):
    expectation = expectations_of(OF_ORDERS)


def test_the_pact_file_says_what_the_expectations_say(pact_folder: Path, write_contracts: bool) -> None:
    OF_ORDERS.file(pact_folder).check(write=write_contracts)
