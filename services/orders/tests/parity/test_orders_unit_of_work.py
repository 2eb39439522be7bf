"""The service's own repositories: the same in memory and on PostgreSQL."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from orders.domain import EmailTakenError, Order, OrderStatus, UserRole
from orders.ports import PageKey, StoredResponse, UnitOfWork
from orders.storage import orders
from outboxed.storage import ConcurrentInsertError
from outboxed.testing.adapters import Backend, failed_transaction
from outboxed.testing.fixtures import new_id
from outboxed.testing.suites.repository import RepositorySuite

from ..factories import (
    NOW,
    CustomerFactory,
    OrderFactory,
    OrderItemFactory,
    ProductFactory,
    UserFactory,
    cancelled_order,
    confirmed_order,
)
from ..fakes import stored

ANSWER = StoredResponse("hash-1", 201, '{"id": 1}', "/api/v1/orders/1")


# --- orders ---


class TestOrders(RepositorySuite):
    table = orders
    repository = "orders"

    def versions(self) -> Sequence[Order]:
        order = OrderFactory.create()
        return order, order.confirm(NOW), order.confirm(NOW).cancel(NOW)

    @pytest.mark.parametrize(
        "order",
        [
            OrderFactory.create(),
            confirmed_order(),
            cancelled_order(),
            confirmed_order().cancel(NOW + timedelta(microseconds=1)),
            OrderFactory.create(customer=CustomerFactory.create(name="Zoë 李 'quoted' \\u0000"), is_member=True),
            OrderFactory.create(items=[OrderItemFactory.create(quantity=1000, unit_price=Decimal("99999.99"))] * 50),
            replace(OrderFactory.create(), currency="CHF"),
        ],
        ids=["pending", "confirmed", "cancelled", "cancelled late", "odd name", "large", "abroad"],
    )
    async def test_an_order_comes_back_as_it_was_stored(self, backend: Backend, order: Order) -> None:
        assert await self.is_found_whole(backend, order)

    async def test_an_order_is_cancelled_or_confirmed_but_not_both_at_once(self, backend: Backend) -> None:
        order = OrderFactory.create()
        await self.add(backend, order)

        async def end(how: Any) -> None:
            async with backend.database() as uow:
                current = await uow.orders.get(order.id)
                changed = how(current)
                if changed is not current:
                    uow.orders.save(changed)

        declines = [lambda current: current.decline(NOW), lambda current: current.expire(NOW)]
        await asyncio.gather(*(end(how) for how in declines * 3))

        ended = await self.found(backend, order.id)
        assert (ended.status, ended.version) == (OrderStatus.CANCELLED, 2)


# --- pages ---


async def pages(uow: UnitOfWork, user_id: UUID, limit: int) -> list[list[Order]]:
    seen: list[list[Order]] = []
    after = None
    while page := list(await uow.orders.newest_of(user_id, after=after, limit=limit)):
        seen.append(page)
        after = PageKey(page[-1].placed_at, page[-1].id)
    return seen


async def test_pages_give_every_order_of_a_customer_once_newest_first_also_where_times_are_equal(
    backend: Backend,
) -> None:
    customer = CustomerFactory.create()
    times = [NOW, NOW, NOW, NOW + timedelta(microseconds=1), NOW - timedelta(days=1)]
    orders = [OrderFactory.create(customer=customer, at=at) for at in times]
    await stored(backend.database, orders=[*orders, OrderFactory.create()])

    async with backend.database() as uow:
        seen = await pages(uow, customer.id, limit=2)

    newest_first = sorted(orders, key=lambda order: (order.placed_at, order.id), reverse=True)
    assert seen == [newest_first[:2], newest_first[2:4], newest_first[4:]]


async def test_a_customer_without_orders_has_an_empty_page(backend: Backend) -> None:
    await stored(backend.database, orders=[OrderFactory.create()])

    async with backend.database() as uow:
        assert list(await uow.orders.newest_of(uuid4(), after=None, limit=10)) == []


# --- users ---


async def test_concurrent_changes_of_one_aggregate_are_all_kept(backend: Backend) -> None:
    user = UserFactory.create()
    await stored(backend.database, users=[user])

    async def change() -> None:
        async with backend.database() as uow:
            current = await uow.users.get(user.id)
            assert current is not None
            uow.users.save(current.with_membership(is_member=not current.is_member))

    await asyncio.gather(*(change() for _ in range(10)))

    async with backend.database() as uow:
        changed = await uow.users.find(user.id)
    assert changed == replace(user, version=11)


async def test_a_user_is_found_by_id_and_by_address_whatever_its_case(backend: Backend) -> None:
    user = UserFactory.create(email="Ada.Lovelace@Example.com", role=UserRole.OPERATOR, is_member=True, is_active=False)
    await stored(backend.database, users=[user])

    async with backend.database() as uow:
        assert await uow.users.find(user.id) == user
        assert await uow.users.get(user.id) == user
        assert await uow.users.find_by_email("ADA.lovelace@example.COM") == user
        assert await uow.users.find_by_email("ada@example.com") is None


async def test_an_address_is_taken_whatever_its_case(backend: Backend) -> None:
    first = UserFactory.create(email="ada@example.com")
    await stored(backend.database, users=[first])

    with pytest.raises(EmailTakenError):
        await stored(backend.database, users=[UserFactory.create(), UserFactory.create(email="ADA@EXAMPLE.COM")])

    async with backend.database() as uow:
        assert await uow.users.find_by_email("ada@example.com") == first


async def test_of_concurrent_registrations_of_one_address_one_succeeds(backend: Backend) -> None:
    users = [UserFactory.create(email="ada@example.com") for _ in range(5)]

    outcomes = await asyncio.gather(*(stored(backend.database, users=[user]) for user in users), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes].count(EmailTakenError) == 4
    assert outcomes.count(None) == 1


async def test_a_changed_user_replaces_the_stored_one(backend: Backend) -> None:
    user = UserFactory.create()
    await stored(backend.database, users=[user])

    async with backend.database() as uow:
        uow.users.save(user.with_membership(is_member=True))

    async with backend.database() as uow:
        assert await uow.users.find(user.id) == user.with_membership(is_member=True)


# --- products ---


async def test_products_are_listed_by_sku_and_replaced_when_put_again(backend: Backend) -> None:
    async with backend.database() as uow:
        await uow.products.put([ProductFactory.create(sku="B"), ProductFactory.create(sku="A", name="old")])
    newer = ProductFactory.create(sku="A", name="new", unit_price=Decimal("1.10"), currency="CHF")

    async with backend.database() as uow:
        await uow.products.put([newer])

    async with backend.database() as uow:
        assert [product.sku for product in await uow.products.all()] == ["A", "B"]
        assert await uow.products.find(["A", "C"]) == {"A": newer}
        assert await uow.products.find([]) == {}


# --- idempotency keys ---


user_id = new_id


async def answered(backend: Backend, user_id: UUID, key: str = "key", request_hash: str = "hash-1") -> Any:
    """The answer that the key has; None where it has one only now."""
    async with backend.database() as uow:
        earlier = await uow.idempotency_keys.find(user_id, key)
        if earlier is None:
            uow.idempotency_keys.add(user_id, key, replace(ANSWER, request_hash=request_hash))
        return earlier


async def test_a_key_has_the_answer_that_it_was_given_first(backend: Backend, user_id: UUID) -> None:
    assert await answered(backend, user_id) is None
    assert await answered(backend, user_id) == ANSWER
    assert await answered(backend, user_id, request_hash="hash-2") == ANSWER


async def test_a_key_belongs_to_its_user(backend: Backend, user_id: UUID) -> None:
    await answered(backend, user_id)

    assert await answered(backend, uuid4()) is None
    assert await answered(backend, user_id, key="Key") is None


async def test_two_users_with_one_key_each_get_their_own_answer_however_often_they_ask(backend: Backend) -> None:
    hashes = {uuid4(): "hash-1", uuid4(): "hash-2"}
    for user_id, request_hash in hashes.items():
        assert await answered(backend, user_id, request_hash=request_hash) is None

    for _ in range(2):
        for user_id, request_hash in hashes.items():
            again = await answered(backend, user_id, request_hash=request_hash)
            assert again == replace(ANSWER, request_hash=request_hash)


async def test_an_answer_whose_transaction_failed_leaves_the_key_free(backend: Backend, user_id: UUID) -> None:
    async with failed_transaction(backend.database) as uow:
        uow.idempotency_keys.add(user_id, "key", ANSWER)

    assert await answered(backend, user_id) is None


async def test_a_key_is_kept_for_24_hours_and_then_new(backend: Backend, user_id: UUID) -> None:
    await answered(backend, user_id)

    backend.clock.advance(timedelta(hours=23, minutes=59))
    assert await answered(backend, user_id, request_hash="hash-2") == ANSWER
    backend.clock.advance(timedelta(minutes=1))
    assert await answered(backend, user_id, request_hash="hash-2") is None

    assert await answered(backend, user_id) == replace(ANSWER, request_hash="hash-2")
    backend.clock.advance(timedelta(hours=23, minutes=59))
    assert await answered(backend, user_id) == replace(ANSWER, request_hash="hash-2")


async def test_a_second_answer_of_a_key_is_refused_with_all_that_came_with_it(backend: Backend, user_id: UUID) -> None:
    await answered(backend, user_id)
    order = OrderFactory.create()

    async def place() -> None:
        async with backend.database() as uow:
            uow.orders.add(order)
            uow.idempotency_keys.add(user_id, "key", replace(ANSWER, request_hash="hash-2"))

    with pytest.raises(ConcurrentInsertError):
        await place()

    assert await answered(backend, user_id) == ANSWER
    async with backend.database() as uow:
        assert await uow.orders.find(order.id) is None


async def test_of_concurrent_answers_of_a_key_one_is_kept(backend: Backend, user_id: UUID) -> None:
    outcomes = await asyncio.gather(*(answered(backend, user_id) for _ in range(6)), return_exceptions=True)

    assert outcomes.count(None) == 1
    assert all(each is None or each == ANSWER or isinstance(each, ConcurrentInsertError) for each in outcomes)
    assert await answered(backend, user_id) == ANSWER
