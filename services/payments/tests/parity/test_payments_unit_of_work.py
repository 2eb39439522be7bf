"""The service's transactions: the same in memory and on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from outboxed.storage import Clock, ConcurrentInsertError, StaleAggregateError
from outboxed.tasks import TaskQueue
from outboxed.testing.adapters import failed_transaction
from payments import handlers
from payments.consumed_events import OrderCancelled, OrderPlaced
from payments.domain import Payment, PaymentStatus, payment_id_of
from payments.handlers import CHARGE, REFUND, Charged, Declined

from ..factories import (
    NOW,
    PAYMENTS,
    ChargeFactory,
    PaymentFactory,
    order_cancelled_data,
    order_placed_data,
    voided_unseen,
)
from ..fakes import stored
from .conftest import Database

ALREADY_THERE = ConcurrentInsertError
LEASE = timedelta(seconds=30)


async def save(database: Database, *payments: Payment) -> None:
    async with database() as uow:
        for payment in payments:
            uow.payments.save(payment)


async def found(database: Database, key: UUID) -> Payment | None:
    async with database() as uow:
        return await uow.payments.find(key)


@pytest.mark.parametrize(
    "payment",
    [
        *(make() for make in PAYMENTS.values()),
        voided_unseen(),
        PAYMENTS[PaymentStatus.CAPTURED]().refund("ch_1", NOW + timedelta(microseconds=1)),
        PaymentFactory.create(charge=ChargeFactory.create(amount=Decimal("99999999999999.99"), payment_method="Zoë")),
    ],
    ids=lambda payment: f"{payment.status} {len(payment.history)}",
)
async def test_a_payment_comes_back_as_it_was_stored(database: Database, payment: Payment) -> None:
    await stored(database, payment)

    async with database() as uow:
        assert await uow.payments.find(payment.id) == payment
        assert await uow.payments.get(payment.id) == payment


async def test_a_payment_that_is_not_there_is_none(database: Database) -> None:
    async with database() as uow:
        assert await uow.payments.get(uuid4()) is None
        assert await uow.payments.find(uuid4()) is None


async def test_an_order_has_one_payment(database: Database) -> None:
    payment = PaymentFactory.create()
    await stored(database, payment)

    with pytest.raises(ALREADY_THERE):
        await stored(database, PaymentFactory.create(order_id=payment.order_id))

    assert await found(database, payment.id) == payment


@pytest.mark.parametrize("version", [1, 2])
async def test_a_version_that_is_not_newer_is_refused_with_its_whole_transaction(
    database: Database, version: int
) -> None:
    payment, innocent = PAYMENTS[PaymentStatus.VOIDED](), PaymentFactory.create()
    await stored(database, payment, innocent)

    with pytest.raises(StaleAggregateError):
        await save(database, innocent.void(NOW), replace(payment, status=PaymentStatus.CAPTURED, version=version))

    assert await found(database, payment.id) == payment
    assert await found(database, innocent.id) == innocent


async def test_a_transaction_that_fails_leaves_nothing(database: Database, queue: TaskQueue[Any], clock: Clock) -> None:
    order_id, seen = uuid4(), PaymentFactory.create()
    await stored(database, seen)

    async with failed_transaction(database) as uow:
        await uow.inbox.insert(["event-1"])
        await handlers.request_payment(OrderPlaced.model_validate(order_placed_data(order_id)), uow)
        await handlers.record_charge(seen.order_id, Charged("ch_1"), uow)

    assert await found(database, payment_id_of(order_id)) is None
    assert await found(database, seen.id) == seen
    clock.advance(timedelta(hours=1))
    assert not await queue.claim(CHARGE, limit=10, lease=LEASE)
    async with database() as uow:
        assert await uow.inbox.insert(["event-1"]) == {"event-1"}


async def test_pages_give_every_payment_once_by_id(database: Database) -> None:
    payments = [PaymentFactory.create() for _ in range(5)]
    await stored(database, *payments)

    seen: list[Payment] = []
    async with database() as uow:
        while page := await uow.payments.page(after=seen[-1].id if seen else None, limit=2):
            assert len(page) <= 2
            seen.extend(page)

    assert seen == sorted(payments, key=lambda payment: payment.id)


async def test_of_concurrent_outcomes_the_first_one_stands(database: Database) -> None:
    payment = PaymentFactory.create()
    await stored(database, payment)

    async def record(outcome: Charged | Declined) -> None:
        async with database() as uow:
            await handlers.record_charge(payment.order_id, outcome, uow)

    outcomes: list[Charged | Declined] = [Charged("ch_1"), Declined("no")]
    await asyncio.gather(*(record(outcome) for outcome in outcomes * 4))

    ended = await found(database, payment.id)
    assert ended is not None
    assert (len(ended.history), ended.version) == (2, 2)


async def test_a_refund_comes_due_while_its_charge_is_under_way(database: Database, queue: TaskQueue[Any]) -> None:
    order_id = uuid4()
    async with database() as uow:
        await handlers.request_payment(OrderPlaced.model_validate(order_placed_data(order_id)), uow)
    [charge] = await queue.claim(CHARGE, limit=10, lease=LEASE)

    async with database() as uow:
        await handlers.void_payment(OrderCancelled.model_validate(order_cancelled_data(order_id)), uow)

    [refund] = await queue.claim(REFUND, limit=10, lease=LEASE)
    assert charge.key == refund.key == str(order_id)


async def test_batches_that_lock_the_same_payments_in_other_orders_do_not_block_each_other(database: Database) -> None:
    payments = [PaymentFactory.create() for _ in range(10)]
    await stored(database, *payments)
    keys = [str(payment.order_id) for payment in payments]

    async def touch(batch: list[str]) -> None:
        async with database() as uow:
            await uow.lock(batch)
            for key in batch:
                assert await uow.payments.get(payment_id_of(UUID(key))) is not None

    await asyncio.gather(*(touch(batch) for batch in [keys, keys[::-1], keys[5:] + keys[:5]] * 3))
