"""Whatever happens to a few payments, in whatever order: both adapters end with the same states, events and tasks."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

from chassis.unit_of_work import SqlTransactions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from payments import handlers
from payments.consumed_events import OrderCancelled, OrderPlaced
from payments.domain import payment_id_of
from payments.handlers import Charged, Declined
from payments.storage import SqlPaymentsUnitOfWork
from testkit.backends import Backend, InMemoryBackend, SqlBackend, failed_transaction

from ..factories import order_cancelled_data, order_placed_data
from ..fakes import in_memory_payments


async def _returned(order_id: UUID, uow: Any) -> None:
    """What was never to be charged is never asked to be returned."""
    payment = await uow.payments.get(payment_id_of(order_id))
    if payment is not None and payment.charge is not None:
        await handlers.record_refund(order_id, "ch_1", uow)


STEPS: dict[str, Callable[[UUID, Any], Awaitable[Any]]] = {
    "placed": lambda key, uow: handlers.request_payment(OrderPlaced.model_validate(order_placed_data(key)), uow),
    "cancelled": lambda key, uow: handlers.void_payment(OrderCancelled.model_validate(order_cancelled_data(key)), uow),
    "charged": lambda key, uow: handlers.record_charge(key, Charged("ch_1"), uow),
    "declined": lambda key, uow: handlers.record_charge(key, Declined("card_declined"), uow),
    "returned": _returned,
    "nothing to return": lambda key, uow: handlers.record_refund(key, None, uow),
}
ORDERS = 3


# one transaction of several steps, which may fail at its end
transactions_of_steps = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, ORDERS - 1)), min_size=1, max_size=4),
        st.booleans(),
    ),
    max_size=8,
)


async def outcome_of(backend: Backend, history: Any) -> Any:
    """Play a history on orders that nobody has heard of; what came of them, without ids and times."""
    orders = [uuid4() for _ in range(ORDERS)]
    numbers = {str(order_id): number for number, order_id in enumerate(orders)}
    for steps, fails in history:
        async with failed_transaction(backend.database) if fails else backend.database() as uow:
            for name, number in steps:
                await STEPS[name](orders[number], uow)
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


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example has orders of its own
)
@given(history=transactions_of_steps)
async def test_every_history_ends_alike_in_memory_and_on_postgresql(
    transactions: SqlTransactions[SqlPaymentsUnitOfWork], history: Any
) -> None:
    expected = await outcome_of(InMemoryBackend(in_memory_payments()), history)

    assert await outcome_of(SqlBackend(transactions), history) == expected
