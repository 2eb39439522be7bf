"""Whatever happens to a few orders, in whatever order: both adapters end with the same states, events and tasks."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

from chassis.unit_of_work import SqlTransactions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from orders import handlers
from orders.consumed_events import PaymentCaptured, PaymentDeclined
from orders.storage import SqlOrdersUnitOfWork
from testkit.backends import Backend, InMemoryBackend, SqlBackend, failed_transaction

from ..factories import OrderFactory

STEPS: dict[str, Callable[[UUID, Any], Awaitable[Any]]] = {
    "captured": lambda order_id, uow: handlers.confirm_order(PaymentCaptured(order_id=order_id), uow),
    "declined": lambda order_id, uow: handlers.decline_order(PaymentDeclined(order_id=order_id), uow),
    "deadline": handlers.expire_order,
    "cancelled": lambda order_id, uow: handlers.cancel_order(order_id, uow, user_id=None),
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
    """Play a history on fresh orders; what came of them, without ids and times."""
    orders = [OrderFactory.create(order_id=uuid4()) for _ in range(ORDERS)]
    async with backend.database() as uow:
        for order in orders:
            uow.orders.add(order)
    for steps, fails in history:
        async with failed_transaction(backend.database) if fails else backend.database() as uow:
            for name, number in steps:
                await STEPS[name](orders[number].id, uow)
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


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example has orders of its own
)
@given(history=transactions_of_steps)
async def test_every_history_ends_alike_in_memory_and_on_postgresql(
    in_memory: InMemoryBackend, transactions: SqlTransactions[SqlOrdersUnitOfWork], history: Any
) -> None:
    expected = await outcome_of(in_memory, history)

    assert await outcome_of(SqlBackend(transactions), history) == expected
