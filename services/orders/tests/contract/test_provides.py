"""orders -> payments, notifications: the messages offered to Pact are the rows that the use cases wrote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from chassis.envelope import OutgoingRecord
from orders import handlers
from orders.consumed_events import PaymentCaptured
from orders.domain import Order, User
from orders.handlers import OrderPolicy, PlaceOrder
from testkit.pact import verify_provider
from testkit.pact.provider import Produce

from ..unit.conftest import Database


@pytest.fixture
def states(database: Database, customer: User, policy: OrderPolicy) -> dict[str, Produce]:
    async def placed() -> Order:
        async with database() as uow:
            return await handlers.place_order(PlaceOrder(customer.id, {"ABC": 4}, "pm_card_ok"), uow, policy)

    async def place(_: Mapping[str, Any]) -> OutgoingRecord:
        await placed()
        return last_event(database)

    async def confirm(_: Mapping[str, Any]) -> OutgoingRecord:
        order = await placed()
        async with database() as uow:
            await handlers.confirm_order(PaymentCaptured(order_id=order.id), uow)
        return last_event(database)

    async def cancel(_: Mapping[str, Any]) -> OutgoingRecord:
        order = await placed()
        async with database() as uow:
            await handlers.cancel_order(order.id, uow, user_id=customer.id)
        return last_event(database)

    return {"an order is placed": place, "an order is confirmed": confirm, "an order is cancelled": cancel}


@pytest.mark.parametrize("consumer", ["payments", "notifications"])
async def test_orders_keeps_what_its_consumers_expect(
    consumer: str, states: dict[str, Produce], pact_folder: Path
) -> None:
    assert await verify_provider("orders", pact_folder / f"{consumer}-orders.json", states) == 2


def last_event(database: Database) -> OutgoingRecord:
    return list(database.state.outbox.values())[-1]
