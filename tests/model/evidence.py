"""What the two models of the saga know, as evidence for its rules."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from orders.domain import Order, OrderStatus
from orders.handlers import PAYMENT_DEADLINE
from outboxed.testing.memory import State
from outboxed.testing.topic_log import position
from payments.domain import Payment, PaymentStatus
from payments.handlers import REFUND
from shop_harness.evidence import Charge, Evidence, Letter, Mail, OrderRow, PaymentRow

from .outside import NOON
from .simulation import Simulation
from .state import SagaState

CANCELLED, CONFIRMED = "order.cancelled.v1", "order.confirmed.v1"


def of_state(state: SagaState) -> Evidence:
    """Of the walk: one order, whose events are logs and positions, and whose worker may have died once."""
    order, gateway = state.order, state.gateway
    read = state.positions.get(("payments", "orders"), 0)
    unread = any(record.headers["ce_type"] == CANCELLED for record in state.logs["orders"][read:])
    died = (state.died or "").partition(" ")[2]
    return Evidence(
        **_aggregates(state.databases),
        open_tasks=[task for task in _tasks(state.databases) if PAYMENT_DEADLINE not in task],
        charges=[
            Charge(key, str(order.id), amount, refunded=amount * gateway.refunded) for key, amount in gateway.charged
        ],
        answered={str(order.id): order.customer.email},
        mails=[Mail(mail.email, f"{mail.kind}.{mail.order_id}@shop.example", NOON) for mail in state.mails],
        more_copies={died: 1},
        refunds_under_way=_refund_tasks(state.databases) | ({str(order.id)} if unread else set()),
    )


def of_simulation(simulation: Simulation) -> Evidence:
    """Of several orders, to which everything may happen."""
    states = {service: database.state for service, database in simulation.databases.items()}
    unread = {str(m.order_id) for m in simulation.unread() if (m.group, m.type) == ("payments", CANCELLED)}
    gateway = simulation.gateway
    return Evidence(
        **_aggregates(states),
        open_tasks=list(_tasks(states)),
        dead_letters=[*_letters(states)],
        charges=[
            Charge(key, str(order_id), amount, refunded=amount * (key in gateway.refunded))
            for key, (order_id, amount) in gateway.charged.items()
        ],
        answered=dict.fromkeys(map(str, simulation.orders), simulation.services.customer.email),
        mails=simulation.mail_server.delivered,
        refused=simulation.refused,
        overtaken={f"confirmation.{order_id}" for order_id in simulation.orders if _is_overtaken(order_id, simulation)},
        more_copies=Counter(simulation.interruptions),
        refunds_under_way=_refund_tasks(states) | unread,
    )


def _aggregates(states: Mapping[str, State]) -> dict[str, Any]:
    """What each service has stored."""
    orders = map(_order_row, states["orders"].table("orders").values())
    payments = map(_payment_row, states["payments"].table("payments").values())
    stored = states["notifications"].table("order_notifications").values()
    return {
        "orders": {order.id: order for order in orders},
        "payments": {payment.order_id: payment for payment in payments},
        "notifications": {f"{one.kind}.{order.id}": str(one.status) for order in stored for one in order.notifications},
    }


def _order_row(order: Order) -> OrderRow:
    return OrderRow(
        id=str(order.id),
        email=order.customer.email,
        status=str(order.status),
        total=order.price.total,
        placed_at=order.history[0].at,
        settled_at=None,
        was_confirmed=any(change.status is OrderStatus.CONFIRMED for change in order.history),
    )


def _payment_row(payment: Payment) -> PaymentRow:
    return PaymentRow(
        order_id=str(payment.order_id),
        status=str(payment.status),
        amount=payment.charge.amount if payment.charge else Decimal(0),
        charge_id=payment.charge_id,
        was_captured=any(change.status is PaymentStatus.CAPTURED for change in payment.history),
    )


def _tasks(states: Mapping[str, State]) -> Iterator[str]:
    for service, state in states.items():
        for task in state.tasks.values():
            yield f"{service}: {task.new.kind} {task.new.key} {task.last_error or ''}".rstrip()


def _refund_tasks(states: Mapping[str, State]) -> set[str]:
    return {key for kind, key in states["payments"].tasks if kind == REFUND}


def _letters(states: Mapping[str, State]) -> Iterable[Letter]:
    for service, state in states.items():
        yield from (Letter(service, position(letter.record)) for letter in state.dead_letters.values())
        yield from (Letter(service, task.key) for task, _ in state.buried_tasks)


def _is_overtaken(order_id: Any, simulation: Simulation) -> bool:
    """Whether notifications heard of the cancellation, and not of the confirmation before it."""
    heard = simulation.heard("notifications", order_id)
    return CONFIRMED not in heard or (CANCELLED in heard and heard.index(CANCELLED) < heard.index(CONFIRMED))
