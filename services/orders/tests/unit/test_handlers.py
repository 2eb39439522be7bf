"""The use cases, by their outcome: what is stored, what is published, what is scheduled."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from orders import handlers
from orders.consumed_events import PaymentCaptured, PaymentDeclined
from orders.domain import Order, OrderNotFoundError, OrderStatus, UnknownSkuError, User, UserNotFoundError, UserRole
from orders.handlers import OrderPolicy, PlaceOrder, RegisterUser
from orders.settings import Settings
from outboxed.storage import Clock
from outboxed.tasks import Worker
from outboxed.testing.records import decoded

from ..factories import UserFactory, cancelled_order, confirmed_order
from ..fakes import PlainPasswords, stored
from .conftest import Database


async def place(database: Database, customer: User, policy: OrderPolicy, **quantities: int) -> Any:
    async with database() as uow:
        return await handlers.place_order(PlaceOrder(customer.id, quantities, "pm_card_ok"), uow, policy)


async def test_a_placed_order_is_stored_pending_and_asks_for_its_payment(
    database: Database, customer: User, policy: OrderPolicy
) -> None:
    order = await place(database, customer, policy, ABC=4)

    assert database.state.table("orders")[order.id].status is OrderStatus.PENDING
    [(event_type, data)] = decoded(database.state.outbox.values())
    assert event_type == "order.placed.v1"
    assert data["order_id"] == str(order.id)
    assert data["customer"] == {"id": str(customer.id), "email": customer.email, "name": customer.name}
    assert data["items"] == [{"sku": "ABC", "quantity": 4, "unit_price": "25.00"}]
    assert data["total"] == {"amount": "95.00", "currency": "EUR"}
    assert data["payment_method"] == "pm_card_ok"


async def test_a_member_gets_the_members_price(database: Database, policy: OrderPolicy) -> None:
    member = UserFactory.create(is_member=True)
    await stored(database, users=[member])

    order = await place(database, member, policy, ABC=4)

    assert order.price.total == Decimal("90.00")


async def test_an_unknown_sku_stores_and_publishes_nothing(
    database: Database, customer: User, policy: OrderPolicy
) -> None:
    with pytest.raises(UnknownSkuError, match="NOPE"):
        await place(database, customer, policy, ABC=1, NOPE=1)

    assert not database.state.table("orders")
    assert not database.state.outbox
    assert not database.state.tasks


async def test_an_order_that_nobody_answers_for_is_cancelled_at_its_deadline(
    database: Database, customer: User, policy: OrderPolicy, worker: Worker[Any], clock: Clock
) -> None:
    order = await place(database, customer, policy, ABC=1)

    assert await worker.run_due() == 0
    clock.advance(policy.payment_deadline + timedelta(seconds=1))
    await worker.run_due()

    assert database.state.table("orders")[order.id].status is OrderStatus.CANCELLED
    assert decoded(database.state.outbox.values())[-1][1]["reason"] == "payment_deadline"
    assert not database.state.tasks


async def test_the_deadline_of_a_confirmed_order_passes_unnoticed(
    database: Database, customer: User, policy: OrderPolicy, worker: Worker[Any], clock: Clock
) -> None:
    order = await place(database, customer, policy, ABC=1)
    async with database() as uow:
        uow.orders.save(order.confirm(uow.now))

    clock.advance(timedelta(hours=1))
    await worker.run_due()

    assert database.state.table("orders")[order.id].status is OrderStatus.CONFIRMED


async def test_the_deadline_of_an_order_that_is_not_there_does_nothing(database: Database) -> None:
    async with database() as uow:
        await handlers.expire_order(uuid4(), uow)

    assert not database.state.outbox


async def test_a_customer_cancels_a_pending_order(database: Database, order: Order) -> None:
    async with database() as uow:
        cancelled = await handlers.cancel_order(order.id, uow, user_id=order.customer.id)

    assert cancelled.status is OrderStatus.CANCELLED
    assert [name for name, _ in decoded(database.state.outbox.values())] == ["order.cancelled.v1"]


async def test_cancelling_again_publishes_nothing_more(database: Database) -> None:
    order = cancelled_order()
    await stored(database, orders=[order])

    async with database() as uow:
        again = await handlers.cancel_order(order.id, uow, user_id=order.customer.id)

    assert again == order
    assert not database.state.outbox


async def test_somebody_elses_order_cannot_be_cancelled(database: Database, order: Order) -> None:
    async with database() as uow:
        with pytest.raises(OrderNotFoundError):
            await handlers.cancel_order(order.id, uow, user_id=uuid4())


async def test_a_user_who_is_no_longer_active_cannot_log_in(database: Database) -> None:
    retired = UserFactory.create(is_active=False)
    await stored(database, users=[retired])

    assert await handlers.authenticate(retired.email, "correct horse", database, PlainPasswords()) is None


async def test_how_long_it_takes_says_nothing_about_who_has_an_account(database: Database) -> None:
    active, retired = UserFactory.create(), UserFactory.create(is_active=False)
    await stored(database, users=[active, retired])
    passwords = PlainPasswords()

    for number, address in enumerate((active.email, retired.email, "nobody@example.com"), start=1):
        assert await handlers.authenticate(address, "wrong horse", database, passwords) is None
        assert passwords.hashed == number, address


def test_the_deadline_comes_from_the_settings(settings: Settings) -> None:
    assert settings.payment_deadline_seconds == 900


async def test_each_event_of_an_order_carries_its_version(
    database: Database, customer: User, policy: OrderPolicy
) -> None:
    order = await place(database, customer, policy, ABC=1)
    async with database() as uow:
        await handlers.confirm_order(PaymentCaptured(order_id=order.id), uow)
    async with database() as uow:
        await handlers.cancel_order(order.id, uow, user_id=customer.id)

    sent = [(record.headers["ce_sequence"], record.key) for record in database.state.outbox.values()]
    assert sent == [(sequence, str(order.id)) for sequence in ("1", "2", "3")]


ANSWERS: dict[str, Callable[[UUID, Any], Coroutine[Any, Any, None]]] = {
    "captured": lambda order_id, uow: handlers.confirm_order(PaymentCaptured(order_id=order_id), uow),
    "declined": lambda order_id, uow: handlers.decline_order(PaymentDeclined(order_id=order_id), uow),
    "overdue": handlers.expire_order,
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("settled", [confirmed_order, cancelled_order])
async def test_an_answer_to_an_order_that_is_settled_changes_nothing(
    database: Database, settled: Callable[[], Order], answer: str
) -> None:
    order = settled()
    await stored(database, orders=[order])

    async with database() as uow:
        await ANSWERS[answer](order.id, uow)

    assert database.state.table("orders")[order.id] is order
    assert not database.state.outbox


async def test_who_or_what_was_not_found_is_named(database: Database, policy: OrderPolicy) -> None:
    nobody = uuid4()

    with pytest.raises(UserNotFoundError, match=str(nobody)):
        await place(database, UserFactory.create(id=nobody), policy, ABC=1)
    async with database() as uow:
        with pytest.raises(OrderNotFoundError, match=str(nobody)):
            await handlers.cancel_order(nobody, uow, user_id=None)
        with pytest.raises(UserNotFoundError, match=str(nobody)):
            await handlers.set_membership(nobody, uow, is_member=True)


async def test_an_operator_is_registered_as_such(database: Database) -> None:
    async with database() as uow:
        user = await handlers.register_user(RegisterUser("ada@example.com", "Ada", "hash", role=UserRole.OPERATOR), uow)

    assert database.state.table("users")[user.id].role is UserRole.OPERATOR


async def test_a_membership_is_stored_and_one_that_is_there_already_stays(database: Database, customer: User) -> None:
    for _ in range(2):
        async with database() as uow:
            await handlers.set_membership(customer.id, uow, is_member=True)

    assert database.state.table("users")[customer.id].is_member
