from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from orders.domain import (
    TRANSITIONS,
    CancellationReason,
    Order,
    OrderInput,
    OrderStatus,
    StatusChange,
    UnknownSkuError,
    subtotal_of,
)
from orders.events import PUBLISHED, OrderCancelled, OrderConfirmed, OrderPlaced, event_of
from orders.schemas import OrderResponse, ProductResponse

from ..factories import (
    NOW,
    OrderFactory,
    OrderItemFactory,
    ProductFactory,
    UserFactory,
    cancelled_order,
    confirmed_order,
)

LATER = NOW + timedelta(minutes=1)

PENDING, CONFIRMED, CANCELLED = OrderStatus.PENDING, OrderStatus.CONFIRMED, OrderStatus.CANCELLED
TOLD_BY = {PENDING: OrderPlaced, CONFIRMED: OrderConfirmed, CANCELLED: OrderCancelled}
CALLS: dict[str, Callable[[Order], Order]] = {
    "payment.captured": lambda order: order.confirm(LATER),
    "payment.declined": lambda order: order.decline(LATER),
    "deadline passes": lambda order: order.expire(LATER),
    "cancel call": lambda order: order.cancel(LATER),
}


@pytest.mark.parametrize(
    ("transition", "status", "reason"),
    [
        ("payment.captured", CONFIRMED, None),
        ("payment.declined", CANCELLED, CancellationReason.PAYMENT_DECLINED),
        ("deadline passes", CANCELLED, CancellationReason.PAYMENT_DEADLINE),
        ("cancel call", CANCELLED, CancellationReason.CUSTOMER),
    ],
)
def test_a_pending_order_ends_by_whatever_comes_first(
    transition: str, status: OrderStatus, reason: CancellationReason | None
) -> None:
    order = CALLS[transition](OrderFactory.create())

    assert order.status is status
    assert (order.history[-1].at, order.history[-1].reason) == (LATER, reason)
    assert order.version == 2


def test_a_confirmed_order_can_still_be_cancelled_by_its_customer() -> None:
    order = confirmed_order().cancel(LATER)

    assert order.cancellation_reason is CancellationReason.CUSTOMER
    assert [change.status for change in order.history] == [PENDING, CONFIRMED, CANCELLED]
    assert order.version == 3


@pytest.mark.parametrize(
    ("order", "transition"),
    [
        *((confirmed_order(), transition) for transition in CALLS if transition != "cancel call"),
        *((cancelled_order(), transition) for transition in CALLS),
    ],
)
def test_nothing_changes_a_cancelled_order_and_nothing_but_its_customer_a_confirmed_one(
    order: Order, transition: str
) -> None:
    assert CALLS[transition](order) is order


def test_a_new_order_is_pending_and_knows_until_when_to_pay() -> None:
    order = OrderFactory.create(at=NOW, payment_deadline=timedelta(minutes=15))

    assert order.status is PENDING
    assert order.pay_before == NOW + timedelta(minutes=15)
    assert order.version == 1


def test_an_order_is_priced_by_all_its_items() -> None:
    mugs = OrderItemFactory.create(quantity=2, unit_price=Decimal("30.00"))
    desk = OrderItemFactory.create(quantity=1, unit_price=Decimal("740.00"))

    order = OrderFactory.create(items=[mugs, desk])

    assert (order.price.subtotal, order.price.discount) == (Decimal("800.00"), Decimal("80.00"))


def test_membership_that_does_not_change_leaves_the_user_as_it_is() -> None:
    user = UserFactory.create(is_member=True)

    assert user.with_membership(is_member=True) is user
    assert user.with_membership(is_member=False).version == user.version + 1


def test_no_cancellation_event_is_made_of_an_order_that_is_not_cancelled() -> None:
    with pytest.raises(ValueError, match="not cancelled"):
        OrderCancelled.of(confirmed_order())


def test_all_unknown_skus_are_named() -> None:
    assert str(UnknownSkuError(["A", "B"])) == "unknown sku: A, B"


def test_nothing_costs_nothing_exactly() -> None:
    assert str(subtotal_of([])) == "0"
    assert isinstance(subtotal_of([]), Decimal)


@pytest.mark.parametrize("status", OrderStatus)
def test_each_status_says_what_each_input_changes(status: OrderStatus) -> None:
    row = TRANSITIONS.get(status, {})

    assert list(row) == list(OrderInput), f"domain.py: give {status} a row in TRANSITIONS, with every input"


@pytest.mark.parametrize("status", OrderStatus)
def test_each_status_has_the_event_that_tells_of_it(status: OrderStatus) -> None:
    order = replace(
        OrderFactory.create(), status=status, history=(StatusChange(status, NOW, CancellationReason.CUSTOMER),)
    )

    assert type(event_of(order)) is TOLD_BY.get(status), (
        f"events.py: give {status} its event, in PUBLISHED and in event_of; then its line in TOLD_BY"
    )


CONFIRMED_AT, CANCELLED_AT = NOW + timedelta(minutes=2), NOW + timedelta(minutes=3)
PLACED = OrderFactory.create(at=NOW, payment_deadline=timedelta(minutes=15))
TOLD = [PLACED, PLACED.confirm(CONFIRMED_AT), PLACED.confirm(CONFIRMED_AT).cancel(CANCELLED_AT)]
TIMES = {
    "placed_at": NOW,
    "pay_before": NOW + timedelta(minutes=15),
    "confirmed_at": CONFIRMED_AT,
    "cancelled_at": CANCELLED_AT,
}


def test_each_time_of_an_event_is_that_of_what_its_name_says() -> None:
    events = [event_of(order) for order in TOLD]
    parts = [part for event in events for part in event if isinstance(part[1], datetime)]
    times = [(name, value) for name, value in parts if name in TIMES or name.endswith("_at")]

    assert {event.type for event in events} == {event.type for event in PUBLISHED}, "give a new event its line in TOLD"
    assert times == [(name, TIMES.get(name)) for name, _ in times], "give a new time its line in TIMES"


def test_each_amount_of_an_event_and_of_an_answer_has_its_own_currency() -> None:
    abroad = [replace(order, currency="CHF") for order in TOLD]
    product = ProductFactory.create(currency="CHF")

    told = [
        event.total.currency for order in abroad if isinstance(event := event_of(order), OrderPlaced | OrderConfirmed)
    ]
    shown = [OrderResponse.of(order).currency for order in abroad]

    assert (told, shown) == (["CHF"] * 2, ["CHF"] * 3)
    assert ProductResponse.of(product).currency == "CHF"
