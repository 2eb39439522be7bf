"""What only PostgreSQL can say: constraints, locks, figures over the tables."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from orders.app import OVERDUE, SETTLING
from orders.domain import Order, OrderStatus
from orders.handlers import OrderPolicy, PlaceOrder, place_order
from orders.ports import StoredResponse
from orders.storage import RETENTIONS, SqlOrdersUnitOfWork, orders, users
from outboxed.messages import EventIdentity
from outboxed.ports import NewTask
from outboxed.process import Metrics
from outboxed.storage import Clock, Pruner, SqlTransactions, is_transient

from ..factories import NOW, OrderFactory, ProductFactory, UserFactory
from ..fakes import stored

Transactions = SqlTransactions[SqlOrdersUnitOfWork]


async def test_the_database_itself_refuses_an_address_twice(transactions: Transactions) -> None:
    row = {**vars(UserFactory.create(email="ada@example.com")), "role": "customer"}
    twin = {**vars(UserFactory.create(email="ADA@example.com")), "role": "customer"}

    with pytest.raises(sa.exc.IntegrityError, match="users_email"):
        async with transactions.engine.begin() as connection:
            await connection.execute(sa.insert(users), [row, twin])


async def test_waiting_for_a_lock_has_an_end_and_may_be_tried_again(transactions: Transactions) -> None:
    order = OrderFactory.create()
    await stored(transactions, orders=[order])

    async def wait_in_vain() -> None:
        async with transactions() as holder, transactions() as waiter:
            await holder.orders.get(order.id)
            await waiter.connection.execute(sa.text("set local lock_timeout = '10ms'"))
            await waiter.orders.get(order.id)

    with pytest.raises(sa.exc.DBAPIError) as refused:
        await wait_in_vain()

    assert is_transient(refused.value)


async def test_two_orders_of_a_customer_do_not_wait_for_each_other(
    transactions: Transactions, policy: OrderPolicy
) -> None:
    customer = UserFactory.create()
    await stored(transactions, users=[customer])
    async with transactions() as uow:
        await uow.products.put([ProductFactory.create(sku="ABC")])
    command = PlaceOrder(customer.id, {"ABC": 1}, "pm_card_ok")

    async with transactions() as first, transactions() as second:
        await second.connection.execute(sa.text("set local lock_timeout = '10ms'"))
        placed = [await place_order(command, uow, policy) for uow in (first, second)]

    assert placed[0].customer == placed[1].customer


async def test_an_error_of_the_database_shows_no_customers_data(transactions: Transactions) -> None:
    await stored(transactions, users=[UserFactory.create(email="secret@example.com")])

    with pytest.raises(sa.exc.IntegrityError, match="users_email") as refused:
        async with transactions() as uow:
            uow.users.add(UserFactory.create(email="secret@example.com"))

    assert "secret@example.com" not in str(refused.value)


async def test_figures_count_what_waits(transactions: Transactions, clock: Clock) -> None:
    overdue, confirmed = OrderFactory.create(), OrderFactory.create().confirm(NOW)
    await stored(transactions, orders=[overdue, confirmed])
    async with transactions() as uow:
        uow.tasks.schedule(NewTask("payment_deadline", "1"))
        uow.tasks.schedule(NewTask("payment_deadline", "2", delay=timedelta(hours=1)))
        await uow.inbox.insert([EventIdentity("/payments", "a"), EventIdentity("/payments", "b")])
    metrics = Metrics(clock)
    metrics.observe(OVERDUE)
    clock.advance(timedelta(seconds=30))

    text = (await metrics.scrape(transactions.engine, task_kinds=["payment_deadline"])).decode()

    figures: dict[str, Any] = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(figures["orders_overdue"]) == 1
    assert float(figures["inbox_rows"]) == 2
    assert float(figures["outbox_rows"]) == 0
    assert float(figures['tasks_due{kind="payment_deadline"}']) == 1
    assert float(figures['tasks_oldest_due_seconds{kind="payment_deadline"}']) >= 30


async def test_a_committed_outcome_is_timed_once_by_what_it_was(transactions: Transactions, clock: Clock) -> None:
    metrics = Metrics(clock)
    metrics.time(SETTLING)
    timed = replace(transactions, committed=metrics.committed)
    confirmed, declined, undone = orders = [OrderFactory.create() for _ in range(3)]
    await stored(transactions, orders=orders)
    later = confirmed.placed_at + timedelta(seconds=20)

    async with timed() as uow:
        uow.orders.save(confirmed.confirm(later))
        uow.orders.save(declined.decline(later))
    async with timed() as uow:
        uow.orders.save(confirmed.confirm(later).cancel(later))
    with pytest.raises(sa.exc.IntegrityError):
        await _save_and_fail(timed, undone.confirm(later))

    def settled(outcome: str, within: str) -> float | None:
        return metrics.registry.get_sample_value("order_settling_seconds_bucket", {"outcome": outcome, "le": within})

    assert [settled("confirmed", within) for within in ("10.0", "30.0")] == [0, 1]
    assert settled("payment_declined", "30.0") == 1
    assert settled("customer", "30.0") is None


async def _save_and_fail(transactions: Transactions, order: Order) -> None:
    async with transactions() as uow:
        uow.orders.save(order)
        await uow.connection.execute(sa.text("insert into outbox (topic) values (null)"))


async def test_what_is_too_old_is_pruned_and_nothing_else(transactions: Transactions, clock: Clock) -> None:
    user = UserFactory.create()
    async with transactions() as uow:
        uow.idempotency_keys.add(user.id, "old", StoredResponse("hash", 201, "{}", "/"))
        await uow.inbox.insert([EventIdentity("/payments", "old")])
    pruner = Pruner(transactions.engine, clock, RETENTIONS)

    clock.advance(timedelta(hours=23))
    assert await pruner.prune() == 0
    clock.advance(timedelta(hours=2))
    assert await pruner.prune() == 1
    clock.advance(timedelta(days=14))
    assert await pruner.prune() == 1


async def test_statuses_are_stored_by_name(transactions: Transactions) -> None:
    await stored(transactions, orders=[OrderFactory.create()])

    async with transactions.engine.connect() as connection:
        assert (await connection.execute(sa.select(orders.c.status))).scalar_one() == OrderStatus.PENDING.value
