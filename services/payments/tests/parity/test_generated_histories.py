"""Whatever happens to a few payments, in whatever order: both adapters end with the same states, events and tasks."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from outboxed.testing.adapters import Backend
from outboxed.testing.histories import Histories
from outboxed.testing.suites.histories import HistoriesSuite
from payments import handlers
from payments.consumed_events import OrderCancelled, OrderPlaced
from payments.domain import payment_id_of
from payments.handlers import Charged, Declined

from ..factories import order_cancelled_data, order_placed_data


async def _returned(order_id: UUID, uow: Any) -> None:
    """What was never to be charged is never asked to be returned."""
    payment = await uow.payments.get(payment_id_of(order_id))
    if payment is not None and payment.charge is not None:
        await handlers.record_refund(order_id, "ch_1", uow)


class TestHistories(HistoriesSuite):
    histories = Histories(
        {
            "placed": lambda key, uow: handlers.request_payment(
                OrderPlaced.model_validate(order_placed_data(key)), uow
            ),
            "cancelled": lambda key, uow: handlers.void_payment(
                OrderCancelled.model_validate(order_cancelled_data(key)), uow
            ),
            "charged": lambda key, uow: handlers.record_charge(key, Charged("ch_1"), uow),
            "declined": lambda key, uow: handlers.record_charge(key, Declined("card_declined"), uow),
            "returned": _returned,
            "nothing to return": lambda key, uow: handlers.record_refund(key, None, uow),
        }
    )

    async def outcome(self, backend: Backend, numbers: Mapping[str, int]) -> Any:
        async with backend.database() as uow:
            ended = [await uow.payments.get(payment_id_of(UUID(order_id))) for order_id in numbers]
        return (
            [p and (p.version, [change.status for change in p.history], p.charge_id) for p in ended],
            [
                (numbers[record.key], record.headers["ce_type"], record.headers["ce_sequence"])
                for record in await backend.outbox()
                if record.key in numbers
            ],
            [(kind, numbers[key], group) for kind, key, group, _ in await backend.tasks() if key in numbers],
        )
