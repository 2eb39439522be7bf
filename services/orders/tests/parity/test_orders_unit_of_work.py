"""The service's own repositories: the same in memory and on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from orders.domain import EmailTakenError, Order, OrderStatus, User
from orders.ports import PageKey, StoredResponse, UnitOfWork
from outboxed.storage import ConcurrentInsertError, StaleAggregateError
from outboxed.testing.adapters import Backend, failed_transaction

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

ALREADY_THERE = ConcurrentInsertError
ANSWER = StoredResponse("hash-1", 201, '{"id": 1}', "/api/v1/orders/1")


async def add(backend: Backend, *orders: Order) -> None:
    async with backend.database() as uow:
        for order in orders:
            uow.orders.add(order)


async def save(backend: Backend, *orders: Order) -> None:
    async with backend.database() as uow:
        for order in orders:
            uow.orders.save(order)


async def register(backend: Backend, *users: User) -> None:
    async with backend.database() as uow:
        for user in users:
            await uow.users.register(user)


async def found(backend: Backend, order_id: UUID) -> Order | None:
    async with backend.database() as uow:
        order: Order | None = await uow.orders.find(order_id)
        return order


# --- orders ---


@pytest.mark.parametrize(
    "order",
    [
        OrderFactory.create(),
        confirmed_order(),
        cancelled_order(),
        confirmed_order().cancel(NOW + timedelta(microseconds=1)),
        OrderFactory.create(customer=CustomerFactory.create(name="Zoë 李 'quoted' \\u0000"), is_member=True),
        OrderFactory.create(items=[OrderItemFactory.create(quantity=1000, unit_price=Decimal("99999.99"))] * 50),
    ],
    ids=["pending", "confirmed", "cancelled", "cancelled late", "odd name", "large"],
)
async def test_an_order_comes_back_as_it_was_stored(backend: Backend, order: Order) -> None:
    await add(backend, order)

    async with backend.database() as uow:
        assert await uow.orders.find(order.id) == order
        assert await uow.orders.get(order.id) == order


async def test_an_order_that_is_not_there_is_none(backend: Backend) -> None:
    async with backend.database() as uow:
        assert await uow.orders.find(uuid4()) is None
        assert await uow.orders.get(uuid4()) is None


async def test_a_transaction_gets_what_it_added_and_saved_itself(backend: Backend) -> None:
    order = OrderFactory.create()

    async with backend.database() as uow:
        uow.orders.add(order)
        assert await uow.orders.get(order.id) == order
        uow.orders.save(order.confirm(NOW))
        assert await uow.orders.get(order.id) == order.confirm(NOW)

    assert await found(backend, order.id) == order.confirm(NOW)


async def test_a_saved_order_replaces_the_stored_one(backend: Backend) -> None:
    order = OrderFactory.create()
    await add(backend, order)

    async with backend.database() as uow:
        uow.orders.save(order.confirm(NOW))
        assert await uow.orders.get(order.id) == order.confirm(NOW)

    assert await found(backend, order.id) == order.confirm(NOW)


async def test_an_order_may_change_twice_in_one_transaction(backend: Backend) -> None:
    order = OrderFactory.create()
    await add(backend, order)

    async with backend.database() as uow:
        uow.orders.save(order.confirm(NOW))
        uow.orders.save(order.confirm(NOW).cancel(NOW))

    assert await found(backend, order.id) == order.confirm(NOW).cancel(NOW)


async def test_two_orders_of_one_id_are_refused_and_the_first_stays(backend: Backend) -> None:
    order = OrderFactory.create()
    await add(backend, order)

    with pytest.raises(ALREADY_THERE):
        await add(backend, OrderFactory.create(order_id=order.id), OrderFactory.create())

    assert await found(backend, order.id) == order


@pytest.mark.parametrize("version", [1, 2])
async def test_a_version_that_is_not_newer_is_refused_with_its_whole_transaction(
    backend: Backend, version: int
) -> None:
    order, innocent = confirmed_order(), OrderFactory.create()
    await add(backend, order, innocent)

    with pytest.raises(StaleAggregateError):
        await save(backend, innocent.confirm(NOW), replace(order, status=OrderStatus.CANCELLED, version=version))

    assert await found(backend, order.id) == order
    assert await found(backend, innocent.id) == innocent


async def test_an_order_that_was_never_added_cannot_be_saved(backend: Backend) -> None:
    with pytest.raises(StaleAggregateError):
        await save(backend, confirmed_order())


async def test_a_change_is_gone_when_its_transaction_fails(backend: Backend) -> None:
    order = OrderFactory.create()
    await add(backend, order)

    async with failed_transaction(backend.database) as uow:
        uow.orders.save(order.confirm(NOW))

    assert await found(backend, order.id) == order


async def test_concurrent_changes_of_one_aggregate_are_all_kept(backend: Backend) -> None:
    user = UserFactory.create()
    await register(backend, user)

    async def change() -> None:
        async with backend.database() as uow:
            current = await uow.users.get(user.id)
            assert current is not None
            uow.users.save(current.with_membership(is_member=not current.is_member))

    await asyncio.gather(*(change() for _ in range(10)))

    async with backend.database() as uow:
        changed = await uow.users.find(user.id)
    assert changed == replace(user, version=11)


async def test_an_order_is_cancelled_or_confirmed_but_not_both_at_once(backend: Backend) -> None:
    order = OrderFactory.create()
    await add(backend, order)

    async def end(how: Any) -> None:
        async with backend.database() as uow:
            current = await uow.orders.get(order.id)
            changed = how(current)
            if changed is not current:
                uow.orders.save(changed)

    declines = [lambda current: current.decline(NOW), lambda current: current.expire(NOW)]
    await asyncio.gather(*(end(how) for how in declines * 3))

    ended = await found(backend, order.id)
    assert ended is not None
    assert (ended.status, ended.version) == (OrderStatus.CANCELLED, 2)


async def test_batches_that_lock_the_same_orders_in_other_orders_do_not_block_each_other(backend: Backend) -> None:
    orders = [OrderFactory.create() for _ in range(10)]
    await add(backend, *orders)
    keys = [str(order.id) for order in orders]

    async def touch(batch: list[str]) -> None:
        async with backend.database() as uow:
            await uow.lock(batch)
            for key in batch:
                assert await uow.orders.get(UUID(key)) is not None

    await asyncio.gather(*(touch(batch) for batch in [keys, keys[::-1], keys[5:] + keys[:5]] * 3))


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
    await add(backend, *orders, OrderFactory.create())

    async with backend.database() as uow:
        seen = await pages(uow, customer.id, limit=2)

    newest_first = sorted(orders, key=lambda order: (order.placed_at, order.id), reverse=True)
    assert seen == [newest_first[:2], newest_first[2:4], newest_first[4:]]


async def test_a_customer_without_orders_has_an_empty_page(backend: Backend) -> None:
    await add(backend, OrderFactory.create())

    async with backend.database() as uow:
        assert list(await uow.orders.newest_of(uuid4(), after=None, limit=10)) == []


# --- users ---


async def test_a_user_is_found_by_id_and_by_address_whatever_its_case(backend: Backend) -> None:
    user = UserFactory.create(email="Ada.Lovelace@Example.com")
    await register(backend, user)

    async with backend.database() as uow:
        assert await uow.users.find(user.id) == user
        assert await uow.users.get(user.id) == user
        assert await uow.users.find_by_email("ADA.lovelace@example.COM") == user
        assert await uow.users.find_by_email("ada@example.com") is None


async def test_an_address_is_taken_whatever_its_case(backend: Backend) -> None:
    first = UserFactory.create(email="ada@example.com")
    await register(backend, first)

    with pytest.raises(EmailTakenError):
        await register(backend, UserFactory.create(), UserFactory.create(email="ADA@EXAMPLE.COM"))

    async with backend.database() as uow:
        assert await uow.users.find_by_email("ada@example.com") == first


async def test_of_concurrent_registrations_of_one_address_one_succeeds(backend: Backend) -> None:
    users = [UserFactory.create(email="ada@example.com") for _ in range(5)]

    outcomes = await asyncio.gather(*(register(backend, user) for user in users), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes].count(EmailTakenError) == 4
    assert outcomes.count(None) == 1


async def test_a_changed_user_replaces_the_stored_one(backend: Backend) -> None:
    user = UserFactory.create()
    await register(backend, user)

    async with backend.database() as uow:
        uow.users.save(user.with_membership(is_member=True))

    async with backend.database() as uow:
        assert await uow.users.find(user.id) == user.with_membership(is_member=True)


# --- products ---


async def test_products_are_listed_by_sku_and_replaced_when_put_again(backend: Backend) -> None:
    async with backend.database() as uow:
        await uow.products.put([ProductFactory.create(sku="B"), ProductFactory.create(sku="A", name="old")])
    newer = ProductFactory.create(sku="A", name="new", unit_price=Decimal("1.10"))

    async with backend.database() as uow:
        await uow.products.put([newer])

    async with backend.database() as uow:
        assert [product.sku for product in await uow.products.all()] == ["A", "B"]
        assert await uow.products.find(["A", "C"]) == {"A": newer}
        assert await uow.products.find([]) == {}


# --- idempotency keys ---


async def claim(backend: Backend, user_id: UUID, key: str = "key", request_hash: str = "hash-1") -> Any:
    async with backend.database() as uow:
        stored = await uow.idempotency_keys.claim(user_id, key, request_hash)
        if stored is None:
            await uow.idempotency_keys.store(user_id, key, replace(ANSWER, request_hash=request_hash))
        return stored


async def test_a_key_is_claimed_once_and_then_gives_its_answer(backend: Backend) -> None:
    user_id = uuid4()

    assert await claim(backend, user_id) is None
    assert await claim(backend, user_id) == ANSWER
    assert await claim(backend, user_id, request_hash="hash-2") == ANSWER


async def test_a_key_belongs_to_its_user(backend: Backend) -> None:
    user_id = uuid4()
    await claim(backend, user_id)

    assert await claim(backend, uuid4()) is None
    assert await claim(backend, user_id, key="Key") is None


async def test_a_claim_whose_transaction_failed_leaves_the_key_free(backend: Backend) -> None:
    user_id = uuid4()

    async with failed_transaction(backend.database) as uow:
        assert await uow.idempotency_keys.claim(user_id, "key", "hash-1") is None

    assert await claim(backend, user_id) is None


async def test_a_key_is_kept_for_24_hours_and_then_new(backend: Backend) -> None:
    user_id = uuid4()
    await claim(backend, user_id)

    backend.clock.advance(timedelta(hours=23, minutes=59))
    assert await claim(backend, user_id, request_hash="hash-2") == ANSWER
    backend.clock.advance(timedelta(minutes=1))
    assert await claim(backend, user_id, request_hash="hash-2") is None

    assert await claim(backend, user_id) == replace(ANSWER, request_hash="hash-2")


async def test_of_concurrent_claims_one_wins_and_the_others_get_its_answer(backend: Backend) -> None:
    user_id = uuid4()

    outcomes = await asyncio.gather(*(claim(backend, user_id) for _ in range(6)))

    assert outcomes.count(None) == 1
    assert outcomes.count(ANSWER) == 5


async def test_a_claim_waits_for_the_one_before_and_wins_if_that_fails(backend: Backend) -> None:
    user_id = uuid4()
    claimed, fail = asyncio.Event(), asyncio.Event()

    async def failing() -> None:
        async with failed_transaction(backend.database) as uow:
            await uow.idempotency_keys.claim(user_id, "key", "hash-1")
            claimed.set()
            await fail.wait()

    first = asyncio.create_task(failing())
    await claimed.wait()
    second = asyncio.create_task(claim(backend, user_id))
    done, _ = await asyncio.wait({second}, timeout=0.02)
    fail.set()

    assert not done
    assert await second is None
    await first
