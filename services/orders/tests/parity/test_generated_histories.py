"""Whatever happens to a few orders, in whatever order: both adapters end with the same states, events and tasks."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from orders import handlers
from orders.consumed_events import PaymentCaptured, PaymentDeclined
from outboxed.testing.adapters import Backend
from outboxed.testing.histories import Histories
from outboxed.testing.suites.histories import HistoriesSuite

from ..factories import OrderFactory
from ..fakes import stored


class TestHistories(HistoriesSuite):
    histories = Histories(
        {
            "captured": lambda order_id, uow: handlers.confirm_order(PaymentCaptured(order_id=order_id), uow),
            "declined": lambda order_id, uow: handlers.decline_order(PaymentDeclined(order_id=order_id), uow),
            "deadline": handlers.expire_order,
            "cancelled": lambda order_id, uow: handlers.cancel_order(order_id, uow, user_id=None),
        }
    )

    async def begin(self, database: Any, orders: Sequence[UUID]) -> None:
        await stored(database, orders=[OrderFactory.create(order_id=order_id) for order_id in orders])

    async def outcome(self, backend: Backend, numbers: Mapping[str, int]) -> Any:
        async with backend.database() as uow:
            ended = [await uow.orders.get(UUID(order_id)) for order_id in numbers]
        return (
            [(order.version, [(c.status, c.reason) for c in order.history]) for order in ended],
            [
                (numbers[record.key], record.headers["ce_type"], record.headers["ce_sequence"])
                for record in await backend.outbox()
                if record.key in numbers
            ],
        )
