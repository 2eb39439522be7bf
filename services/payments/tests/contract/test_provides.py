"""payments -> orders, notifications: the messages offered to Pact are the rows that the use cases wrote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from chassis.envelope import OutgoingRecord
from payments import handlers
from payments.domain import Payment
from payments.handlers import Charged, Declined
from testkit.pact import verify_provider
from testkit.pact.provider import Produce

from ..factories import PaymentFactory
from ..fakes import stored
from ..unit.conftest import Database


@pytest.fixture
def states(database: Database) -> dict[str, Produce]:
    async def requested() -> Payment:
        payment: Payment = PaymentFactory.create()
        await stored(database, payment)
        return payment

    async def capture(_: Mapping[str, Any]) -> OutgoingRecord:
        payment = await requested()
        async with database() as uow:
            await handlers.record_charge(payment.order_id, Charged("ch_1"), uow)
        return last_event(database)

    async def decline(_: Mapping[str, Any]) -> OutgoingRecord:
        payment = await requested()
        async with database() as uow:
            await handlers.record_charge(payment.order_id, Declined("card_declined"), uow)
        return last_event(database)

    async def refund(parameters: Mapping[str, Any]) -> OutgoingRecord:
        await capture(parameters)
        [payment] = database.state.table("payments").values()
        async with database() as uow:
            await handlers.record_refund(payment.order_id, payment.charge_id, uow)
        return last_event(database)

    return {"a payment is captured": capture, "a payment is declined": decline, "a payment is refunded": refund}


@pytest.mark.parametrize(("consumer", "interactions"), [("orders", 2), ("notifications", 1)])
async def test_payments_keeps_what_its_consumers_expect(
    consumer: str, interactions: int, states: dict[str, Produce], pact_folder: Path
) -> None:
    assert await verify_provider("payments", pact_folder / f"{consumer}-payments.json", states) == interactions


def last_event(database: Database) -> OutgoingRecord:
    return list(database.state.outbox.values())[-1]
