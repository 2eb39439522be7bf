"""Whatever happens to a few payments, in whatever order: both adapters end with the same states, events and tasks."""

from typing import Any
from uuid import UUID, uuid4

from hypothesis import given
from outboxed.storage import SqlTransactions
from outboxed.testing.adapters import Backend, InMemoryBackend, SqlBackend
from outboxed.testing.histories import ON_A_DATABASE, Histories, History
from payments import handlers
from payments.consumed_events import OrderCancelled, OrderPlaced
from payments.domain import payment_id_of
from payments.handlers import Charged, Declined
from payments.storage import SqlPaymentsUnitOfWork

from ..factories import order_cancelled_data, order_placed_data
from ..fakes import in_memory_payments


async def _returned(order_id: UUID, uow: Any) -> None:
    """What was never to be charged is never asked to be returned."""
    payment = await uow.payments.get(payment_id_of(order_id))
    if payment is not None and payment.charge is not None:
        await handlers.record_refund(order_id, "ch_1", uow)


HISTORIES = Histories(
    {
        "placed": lambda key, uow: handlers.request_payment(OrderPlaced.model_validate(order_placed_data(key)), uow),
        "cancelled": lambda key, uow: handlers.void_payment(
            OrderCancelled.model_validate(order_cancelled_data(key)), uow
        ),
        "charged": lambda key, uow: handlers.record_charge(key, Charged("ch_1"), uow),
        "declined": lambda key, uow: handlers.record_charge(key, Declined("card_declined"), uow),
        "returned": _returned,
        "nothing to return": lambda key, uow: handlers.record_refund(key, None, uow),
    }
)


async def outcome_of(backend: Backend, history: History) -> Any:
    """Play a history on orders that nobody has heard of; what came of them, without ids and times."""
    orders = [uuid4() for _ in range(HISTORIES.subjects)]
    numbers = {str(order_id): number for number, order_id in enumerate(orders)}
    await HISTORIES.play(history, backend.database, orders)
    async with backend.database() as uow:
        ended = [await uow.payments.get(payment_id_of(order_id)) for order_id in orders]
    return (
        [payment and (payment.version, [c.status for c in payment.history], payment.charge_id) for payment in ended],
        [
            (numbers[record.key], record.headers["ce_type"], record.headers["ce_sequence"])
            for record in await backend.outbox()
            if record.key in numbers
        ],
        [(kind, numbers[key], group) for kind, key, group, _ in await backend.tasks() if key in numbers],
    )


@ON_A_DATABASE
@given(history=HISTORIES.made_up())
async def test_every_history_ends_alike_in_memory_and_on_postgresql(
    transactions: SqlTransactions[SqlPaymentsUnitOfWork], history: History
) -> None:
    expected = await outcome_of(InMemoryBackend(in_memory_payments()), history)

    assert await outcome_of(SqlBackend(transactions), history) == expected
