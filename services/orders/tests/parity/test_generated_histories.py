"""Whatever happens to a few orders, in whatever order: both adapters end with the same states, events and tasks."""

from typing import Any
from uuid import uuid4

from hypothesis import given
from orders import handlers
from orders.consumed_events import PaymentCaptured, PaymentDeclined
from orders.storage import SqlOrdersUnitOfWork
from outboxed.storage import SqlTransactions
from outboxed.testing.adapters import Backend, InMemoryBackend, SqlBackend
from outboxed.testing.histories import ON_A_DATABASE, Histories, History

from ..factories import OrderFactory

HISTORIES = Histories(
    {
        "captured": lambda order_id, uow: handlers.confirm_order(PaymentCaptured(order_id=order_id), uow),
        "declined": lambda order_id, uow: handlers.decline_order(PaymentDeclined(order_id=order_id), uow),
        "deadline": handlers.expire_order,
        "cancelled": lambda order_id, uow: handlers.cancel_order(order_id, uow, user_id=None),
    }
)


async def outcome_of(backend: Backend, history: History) -> Any:
    """Play a history on fresh orders; what came of them, without ids and times."""
    orders = [OrderFactory.create(order_id=uuid4()) for _ in range(HISTORIES.subjects)]
    async with backend.database() as uow:
        for order in orders:
            uow.orders.add(order)
    await HISTORIES.play(history, backend.database, [order.id for order in orders])
    numbers = {str(order.id): number for number, order in enumerate(orders)}
    async with backend.database() as uow:
        ended = [await uow.orders.get(order.id) for order in orders]
    return (
        [(order.version, [(c.status, c.reason) for c in order.history]) for order in ended if order],
        [
            (numbers[record.key], record.headers["ce_type"], record.headers["ce_sequence"])
            for record in await backend.outbox()
            if record.key in numbers
        ],
    )


@ON_A_DATABASE
@given(history=HISTORIES.made_up())
async def test_every_history_ends_alike_in_memory_and_on_postgresql(
    in_memory: InMemoryBackend, transactions: SqlTransactions[SqlOrdersUnitOfWork], history: History
) -> None:
    expected = await outcome_of(in_memory, history)

    assert await outcome_of(SqlBackend(transactions), history) == expected
