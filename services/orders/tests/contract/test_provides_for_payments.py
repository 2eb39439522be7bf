"""orders -> payments: the messages offered to Pact are the rows that the use cases wrote to the outbox."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chassis.envelope import OutgoingRecord
from orders import handlers
from orders.domain import User
from orders.handlers import OrderPolicy, PlaceOrder
from testkit.pact import verify_provider

from ..unit.conftest import Database


async def test_orders_keeps_what_payments_expects(
    database: Database, customer: User, policy: OrderPolicy, pact_folder: Path
) -> None:
    async def place(_: Mapping[str, Any]) -> OutgoingRecord:
        async with database() as uow:
            await handlers.place_order(PlaceOrder(customer.id, {"ABC": 4}, "pm_card_ok"), uow, policy)
        return last_event(database)

    async def cancel(parameters: Mapping[str, Any]) -> OutgoingRecord:
        await place(parameters)
        [order] = database.state.table("orders").values()
        async with database() as uow:
            await handlers.cancel_order(order.id, uow, user_id=customer.id)
        return last_event(database)

    states = {"an order is placed": place, "an order is cancelled": cancel}

    assert await verify_provider("orders", pact_folder / "payments-orders.json", states) == len(states)


def last_event(database: Database) -> OutgoingRecord:
    return list(database.state.outbox.values())[-1]
