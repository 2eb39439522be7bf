"""Whatever is heard of a few orders, in whatever order: both adapters end with the same e-mails and tasks."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from notifications import handlers
from notifications.consumed_events import OrderCancelled, OrderConfirmed, PaymentRefunded
from notifications.domain import Kind
from outboxed.testing.adapters import Backend
from outboxed.testing.histories import Histories
from outboxed.testing.suites.histories import HistoriesSuite

from ..factories import order_data


class TestHistories(HistoriesSuite):
    histories = Histories(
        {
            "confirmed": lambda key, uow: handlers.notify_of_confirmation(
                OrderConfirmed.model_validate(order_data(key)), uow
            ),
            "cancelled": lambda key, uow: handlers.notify_of_cancellation(
                OrderCancelled.model_validate(order_data(key, reason="customer")), uow
            ),
            "refunded": lambda key, uow: handlers.notify_of_refund(
                PaymentRefunded.model_validate({"order_id": str(key)}), uow
            ),
            "confirmation sent": lambda key, uow: handlers.record_sent(key, Kind.CONFIRMATION, "<1@shop>", uow),
            "refund sent": lambda key, uow: handlers.record_sent(key, Kind.REFUND, "<2@shop>", uow),
            "cancellation refused": lambda key, uow: handlers.record_failed(key, Kind.CANCELLATION, uow),
        }
    )

    async def outcome(self, backend: Backend, numbers: Mapping[str, int]) -> Any:
        async with backend.database() as uow:
            ended = [await uow.notifications.get(UUID(order_id)) for order_id in numbers]
        return (
            [
                order and (order.version, order.email, [(n.kind, n.status, n.message_id) for n in order.notifications])
                for order in ended
            ],
            [
                (kind, numbers[group], payload["kind"])
                for kind, _, group, payload in await backend.tasks()
                if group and group in numbers
            ],
        )
