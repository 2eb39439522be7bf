"""Whatever is heard of a few orders, in whatever order: both adapters end with the same e-mails and tasks."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

from chassis.unit_of_work import SqlTransactions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from notifications import handlers
from notifications.consumed_events import OrderCancelled, OrderConfirmed, PaymentRefunded
from notifications.domain import Kind
from notifications.storage import SqlNotificationsUnitOfWork
from testkit.backends import Backend, InMemoryBackend, SqlBackend, failed_transaction

from ..factories import order_data
from ..fakes import in_memory_notifications

STEPS: dict[str, Callable[[UUID, Any], Awaitable[Any]]] = {
    "confirmed": lambda key, uow: handlers.notify_of_confirmation(OrderConfirmed.model_validate(order_data(key)), uow),
    "cancelled": lambda key, uow: handlers.notify_of_cancellation(
        OrderCancelled.model_validate(order_data(key, reason="customer")), uow
    ),
    "refunded": lambda key, uow: handlers.notify_of_refund(PaymentRefunded.model_validate({"order_id": str(key)}), uow),
    "confirmation sent": lambda key, uow: handlers.record_sent(key, Kind.CONFIRMATION, "<1@shop>", uow),
    "refund sent": lambda key, uow: handlers.record_sent(key, Kind.REFUND, "<2@shop>", uow),
    "cancellation refused": lambda key, uow: handlers.record_failed(key, Kind.CANCELLATION, uow),
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
    for steps, fails in history:
        async with failed_transaction(backend.database) if fails else backend.database() as uow:
            for name, number in steps:
                await STEPS[name](orders[number], uow)
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


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example has orders of its own
)
@given(history=transactions_of_steps)
async def test_every_history_ends_alike_in_memory_and_on_postgresql(
    transactions: SqlTransactions[SqlNotificationsUnitOfWork], history: Any
) -> None:
    expected = await outcome_of(InMemoryBackend(in_memory_notifications()), history)

    assert await outcome_of(SqlBackend(transactions), history) == expected
