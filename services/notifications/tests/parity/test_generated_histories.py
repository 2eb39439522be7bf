"""Whatever is heard of a few orders, in whatever order: both adapters end with the same e-mails and tasks."""

from typing import Any
from uuid import uuid4

from hypothesis import given
from notifications import handlers
from notifications.consumed_events import OrderCancelled, OrderConfirmed, PaymentRefunded
from notifications.domain import Kind
from notifications.storage import SqlNotificationsUnitOfWork
from outboxed.storage import SqlTransactions
from outboxed.testing.adapters import Backend, InMemoryBackend, SqlBackend
from outboxed.testing.histories import ON_A_DATABASE, Histories, History

from ..factories import order_data
from ..fakes import in_memory_notifications

HISTORIES = Histories(
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


async def outcome_of(backend: Backend, history: History) -> Any:
    """Play a history on orders that nobody has heard of; what came of them, without ids and times."""
    orders = [uuid4() for _ in range(HISTORIES.subjects)]
    await HISTORIES.play(history, backend.database, orders)
    async with backend.database() as uow:
        ended = [await uow.notifications.get(order_id) for order_id in orders]
    numbers = {str(order_id): number for number, order_id in enumerate(orders)}
    return (
        [
            order
            and (
                order.version,
                order.email,
                [(each.kind, each.status, each.message_id) for each in order.notifications],
            )
            for order in ended
        ],
        [
            (kind, numbers[group], payload["kind"])
            for kind, _, group, payload in await backend.tasks()
            if group in numbers
        ],
    )


@ON_A_DATABASE
@given(history=HISTORIES.made_up())
async def test_every_history_ends_alike_in_memory_and_on_postgresql(
    transactions: SqlTransactions[SqlNotificationsUnitOfWork], history: History
) -> None:
    expected = await outcome_of(InMemoryBackend(in_memory_notifications()), history)

    assert await outcome_of(SqlBackend(transactions), history) == expected
