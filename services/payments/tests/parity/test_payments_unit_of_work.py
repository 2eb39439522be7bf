"""The service's transactions: the same in memory and on PostgreSQL."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from outboxed.messages import EventIdentity
from outboxed.testing.adapters import Backend, failed_transaction
from outboxed.testing.suites.repository import RepositorySuite
from payments import handlers
from payments.consumed_events import OrderCancelled, OrderPlaced
from payments.domain import Payment, PaymentStatus, payment_id_of
from payments.handlers import CHARGE, REFUND, Charged, Declined
from payments.storage import payments

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

LEASE = timedelta(seconds=30)


class TestPayments(RepositorySuite):
    table = payments
    repository = "payments"
    key_field = "order_id"

    def versions(self) -> Sequence[Payment]:
        payment = PaymentFactory.create()
        return payment, payment.void(NOW), payment.void(NOW).refund("ch_1", NOW)

    @pytest.mark.parametrize(
        "payment",
        [
            *(make() for make in PAYMENTS.values()),
            voided_unseen(),
            PAYMENTS[PaymentStatus.CAPTURED]().refund("ch_1", NOW + timedelta(microseconds=1)),
            PaymentFactory.create(
                charge=ChargeFactory.create(amount=Decimal("99999999999999.99"), payment_method="Zoë")
            ),
        ],
        ids=lambda payment: f"{payment.status} {len(payment.history)}",
    )
    async def test_a_payment_comes_back_as_it_was_stored(self, backend: Backend, payment: Payment) -> None:
        assert await self.is_found_whole(backend, payment)


EVENT = EventIdentity("/orders", "event-1")


async def found(backend: Backend, key: UUID) -> Any:
    async with backend.database() as uow:
        return await uow.payments.find(key)


async def test_a_transaction_that_fails_leaves_nothing(backend: Backend) -> None:
    order_id, seen = uuid4(), PaymentFactory.create()
    await stored(backend.database, seen)

    async with failed_transaction(backend.database) as uow:
        await uow.inbox.insert([EVENT])
        await handlers.request_payment(OrderPlaced.model_validate(order_placed_data(order_id)), uow)
        await handlers.record_charge(seen.order_id, Charged("ch_1"), uow)

    assert await found(backend, payment_id_of(order_id)) is None
    assert await found(backend, seen.id) == seen
    backend.clock.advance(timedelta(hours=1))
    assert not await backend.queue.claim(CHARGE, limit=10, lease=LEASE)
    async with backend.database() as uow:
        assert await uow.inbox.insert([EVENT]) == {EVENT}


async def test_pages_give_every_payment_once_by_id(backend: Backend) -> None:
    made = [PaymentFactory.create() for _ in range(5)]
    await stored(backend.database, *made)

    seen: list[Payment] = []
    async with backend.database() as uow:
        while page := await uow.payments.page(after=seen[-1].id if seen else None, limit=2):
            assert len(page) <= 2
            seen.extend(page)

    assert seen == sorted(made, key=lambda payment: payment.id)


async def test_of_concurrent_outcomes_the_first_one_stands(backend: Backend) -> None:
    payment = PaymentFactory.create()
    await stored(backend.database, payment)

    async def record(outcome: Charged | Declined) -> None:
        async with backend.database() as uow:
            await handlers.record_charge(payment.order_id, outcome, uow)

    outcomes: list[Charged | Declined] = [Charged("ch_1"), Declined("no")]
    await asyncio.gather(*(record(outcome) for outcome in outcomes * 4))

    ended = await found(backend, payment.id)
    assert (len(ended.history), ended.version) == (2, 2)


async def test_a_refund_comes_due_while_its_charge_is_under_way(backend: Backend, order_id: UUID) -> None:
    async with backend.database() as uow:
        await handlers.request_payment(OrderPlaced.model_validate(order_placed_data(order_id)), uow)
    [charge] = await backend.queue.claim(CHARGE, limit=10, lease=LEASE)

    async with backend.database() as uow:
        await handlers.void_payment(OrderCancelled.model_validate(order_cancelled_data(order_id)), uow)

    [refund] = await backend.queue.claim(REFUND, limit=10, lease=LEASE)
    assert charge.key == refund.key == str(order_id)
