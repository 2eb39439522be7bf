"""Kafka records in, through FastStream's test broker and the real subscriber; state, tasks and dead letters out."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from outboxed.testing.records import event_record
from outboxed.testing.suites.consumer import ConsumerSuite, poisoned
from payments.domain import PaymentStatus
from payments.handlers import CHARGE, REFUND

from ..factories import NOW, PAYMENTS, PaymentFactory, order_cancelled, order_placed
from ..fakes import payment_of, stored
from .conftest import Consume, Database


class TestRecords(ConsumerSuite):
    group = "payments"
    unread = (("orders", "order.confirmed.v1"),)
    spoil = poisoned(
        order_id_no_uuid={"order_id": "7"},
        amount_a_number={"total": {"amount": 50.0, "currency": "EUR"}},
        amount_negative={"total": {"amount": "-1.00", "currency": "EUR"}},
        amount_not_a_number={"total": {"amount": "NaN", "currency": "EUR"}},
        amount_in_tenths_of_a_cent={"total": {"amount": "1.001", "currency": "EUR"}},
        currency_unknown_in_kind={"total": {"amount": "1.00", "currency": "Euro"}},
        deadline_without_a_zone={"pay_before": "2026-01-15T12:00:00"},
        deadline_before_the_first_year={"pay_before": "0001-01-01T00:00:00+14:00"},
        payment_method_with_a_nul={"payment_method": "pm\0card"},
        no_payment_method={"payment_method": None},
    )

    async def event(self, _: Database, order_id: UUID) -> Any:
        return order_placed(order_id)

    def handled(self, database: Database) -> Sequence[UUID]:
        return [payment.order_id for payment in database.state.table("payments").values()]


async def test_a_placed_order_is_to_be_charged(database: Database, consume: Consume, order_id: UUID) -> None:
    await consume(order_placed(order_id))

    assert payment_of(order_id, database).status is PaymentStatus.REQUESTED
    assert list(database.state.tasks) == [(CHARGE, str(order_id))]


async def test_a_cancelled_orders_money_is_to_be_returned(database: Database, consume: Consume) -> None:
    payment = PAYMENTS[PaymentStatus.CAPTURED]()
    await stored(database, payment)

    await consume(order_cancelled(payment.order_id))

    assert list(database.state.tasks) == [(REFUND, str(payment.order_id))]


async def test_an_order_placed_and_cancelled_in_one_batch_is_voided(database: Database, consume: Consume) -> None:
    order_id = uuid4()

    await consume(order_placed(order_id), order_cancelled(order_id))

    assert payment_of(order_id, database).status is PaymentStatus.VOIDED


@pytest.mark.parametrize("status", [PaymentStatus.DECLINED, PaymentStatus.VOIDED, PaymentStatus.REFUNDED])
async def test_events_replayed_onto_an_empty_inbox_change_nothing_and_call_nobody(
    database: Database, consume: Consume, status: PaymentStatus
) -> None:
    payment = PAYMENTS[status]()
    await stored(database, payment)

    await consume(order_placed(payment.order_id), order_cancelled(payment.order_id))

    assert database.state.table("payments") == {payment.id: payment}
    assert not database.state.tasks
    assert not database.state.outbox


async def test_an_event_that_its_handler_refuses_is_the_only_dead_letter(
    database: Database, consume: Consume, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, neighbour = PaymentFactory.create(), uuid4()
    await stored(database, refused)

    def explode(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(type(refused), "void", explode)
    await consume(order_placed(neighbour), order_cancelled(refused.order_id, event_id="refused"))

    [letter] = database.state.dead_letters.values()
    assert letter.reason.startswith("RuntimeError: a bug (test_consumers.py:")
    assert payment_of(neighbour, database).status is PaymentStatus.REQUESTED
    assert "refused" not in {event.id for event in database.state.inbox}


async def test_a_new_reason_for_a_cancellation_is_survived(database: Database, consume: Consume) -> None:
    order_id = uuid4()
    data = {"order_id": str(order_id), "reason": "fraud", "cancelled_at": NOW.isoformat()}

    await consume(event_record("orders", "order.cancelled.v1", data, key=str(order_id)))

    assert payment_of(order_id, database).status is PaymentStatus.VOIDED
