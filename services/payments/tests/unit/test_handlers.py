"""The use cases, by their outcome: domain.md's table of payments, cell by cell, with its tasks and events."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from outboxed.storage import Clock
from outboxed.testing.records import decoded
from payments import handlers
from payments.consumed_events import OrderCancelled, OrderPlaced
from payments.domain import Charge, Payment, PaymentStatus, payment_id_of
from payments.gateway import HttpPaymentGateway
from payments.handlers import CHARGE, REFUND, Charged, Declined

from ..factories import PAYMENTS, ChargeFactory, PaymentFactory, order_cancelled_data, order_placed_data, voided_unseen
from ..fakes import payment_of, stored
from ..sandbox import Sandbox
from .conftest import Database

REQUESTED, CAPTURED, DECLINED, VOIDED, REFUNDED = PaymentStatus
UNSEEN = "VOIDED, never seen"
NONE = "none"
ALL = [NONE, UNSEEN, *PaymentStatus]


def placed(order_id: UUID) -> OrderPlaced:
    return OrderPlaced.model_validate(order_placed_data(order_id))


def cancelled(order_id: UUID) -> OrderCancelled:
    return OrderCancelled.model_validate(order_cancelled_data(order_id))


Activity = Callable[[UUID, Any], Coroutine[Any, Any, None]]
HAPPENINGS: dict[str, Activity] = {
    "order.placed": lambda order_id, uow: handlers.request_payment(placed(order_id), uow),
    "order.cancelled": lambda order_id, uow: handlers.void_payment(cancelled(order_id), uow),
    "charge succeeded": lambda order_id, uow: handlers.record_charge(order_id, Charged("ch_9"), uow),
    "charge declined": lambda order_id, uow: handlers.record_charge(order_id, Declined("card_declined"), uow),
    "nothing to charge": lambda order_id, uow: handlers.record_charge(order_id, None, uow),
    "money returned": lambda order_id, uow: handlers.record_refund(order_id, "ch_9", uow),
    "nothing to return": lambda order_id, uow: handlers.record_refund(order_id, None, uow),
}
TABLE: dict[tuple[str, str], tuple[PaymentStatus, list[str], list[str]]] = {
    (NONE, "order.placed"): (REQUESTED, [CHARGE], []),
    (NONE, "order.cancelled"): (VOIDED, [], []),
    (REQUESTED, "order.cancelled"): (VOIDED, [REFUND], []),
    (REQUESTED, "charge succeeded"): (CAPTURED, [], ["payment.captured.v1"]),
    (REQUESTED, "charge declined"): (DECLINED, [], ["payment.declined.v1"]),
    (CAPTURED, "order.cancelled"): (CAPTURED, [REFUND], []),
    (CAPTURED, "money returned"): (REFUNDED, [], ["payment.refunded.v1"]),
    (VOIDED, "money returned"): (REFUNDED, [], ["payment.refunded.v1"]),
}
NEVER_ASKED = {(UNSEEN, "money returned")}  # what was never charged has no refund task
NOTHING_HAPPENS = [
    (state, name) for state in ALL for name in HAPPENINGS if (state, name) not in TABLE.keys() | NEVER_ASKED
]


async def given(database: Database, state: str) -> UUID:
    order_id = uuid4()
    if state == UNSEEN:
        await stored(database, voided_unseen(order_id))
    elif state != NONE:
        await stored(database, PAYMENTS[PaymentStatus(state)](order_id=order_id))
    return order_id


async def happens(database: Database, name: str, order_id: UUID) -> None:
    async with database() as uow:
        await HAPPENINGS[name](order_id, uow)


@pytest.mark.parametrize(("state", "name"), TABLE)
async def test_an_entry_of_the_table_gives_its_state_tasks_and_events(
    database: Database, state: str, name: str
) -> None:
    status, tasks, events = TABLE[state, name]
    order_id = await given(database, state)

    await happens(database, name, order_id)

    assert payment_of(order_id, database).status is status
    assert list(database.state.tasks) == [(kind, str(order_id)) for kind in tasks]
    assert [event_type for event_type, _ in decoded(database.state.outbox.values())] == events


@pytest.mark.parametrize(("state", "name"), NOTHING_HAPPENS)
async def test_where_the_table_has_no_entry_nothing_is_stored_scheduled_or_published(
    database: Database, state: str, name: str
) -> None:
    order_id = await given(database, state)
    before = dict(database.state.table("payments"))

    await happens(database, name, order_id)

    assert database.state.table("payments") == before
    assert not database.state.tasks
    assert not database.state.outbox


async def test_a_payment_asks_for_what_the_order_says(database: Database, order_id: UUID) -> None:
    event = placed(order_id)

    async with database() as uow:
        await handlers.request_payment(event, uow)

    charge = payment_of(order_id, database).charge
    assert charge is not None
    assert (charge.amount, charge.currency, charge.payment_method) == (Decimal("50.00"), "EUR", "pm_card_ok")
    assert charge.pay_before == event.pay_before


async def test_a_cancelled_order_that_is_placed_afterwards_is_never_charged(database: Database, order_id: UUID) -> None:
    await happens(database, "order.cancelled", order_id)
    await happens(database, "order.placed", order_id)

    assert payment_of(order_id, database).status is VOIDED
    assert not database.state.tasks


async def test_a_refund_that_waits_is_not_asked_for_twice(database: Database) -> None:
    order_id = await given(database, CAPTURED)

    await happens(database, "order.cancelled", order_id)
    await happens(database, "order.cancelled", order_id)

    assert list(database.state.tasks) == [(REFUND, str(order_id))]


async def test_events_carry_the_version_of_their_payment_and_the_key_of_its_order(database: Database) -> None:
    order_id = await given(database, REQUESTED)

    await happens(database, "charge succeeded", order_id)

    [record] = database.state.outbox.values()
    assert (record.headers["ce_sequence"], record.headers["ce_source"], record.key) == ("2", "/payments", str(order_id))


async def test_a_decline_says_why(database: Database) -> None:
    order_id = await given(database, REQUESTED)

    await happens(database, "charge declined", order_id)

    [(_, data)] = decoded(database.state.outbox.values())
    assert data["reason"] == "card_declined"


async def charge(database: Database, gateway: HttpPaymentGateway, order_id: UUID, *, attempts: int = 1) -> Any:
    async with database() as uow:
        payment = await uow.payments.find(payment_id_of(order_id))
    return await handlers.charge_payment(payment, attempts, database.clock.now(), gateway)


async def refund(database: Database, gateway: HttpPaymentGateway, order_id: UUID) -> str | None:
    async with database() as uow:
        payment = await uow.payments.find(payment_id_of(order_id))
    return await handlers.refund_payment(payment, gateway)


@pytest.mark.parametrize("state", [state for state in ALL if state != REQUESTED])
async def test_only_a_requested_payment_is_charged(
    database: Database, gateway: HttpPaymentGateway, sandbox: Sandbox, state: str
) -> None:
    order_id = await given(database, state)

    assert await charge(database, gateway, order_id) is None
    assert not sandbox.outcomes(order_id)


async def test_nothing_is_charged_once_the_deadline_has_passed(
    database: Database, gateway: HttpPaymentGateway, sandbox: Sandbox, clock: Clock
) -> None:
    order_id = await given(database, REQUESTED)
    clock.advance(timedelta(minutes=15))

    assert await charge(database, gateway, order_id) is None
    assert not sandbox.outcomes(order_id)


@pytest.mark.parametrize("state", [NONE, REQUESTED, DECLINED, REFUNDED])
async def test_only_a_captured_or_voided_payment_is_refunded(
    database: Database, gateway: HttpPaymentGateway, sandbox: Sandbox, state: str
) -> None:
    order_id = await given(database, state)

    assert await refund(database, gateway, order_id) is None
    assert not sandbox.outcomes(order_id)


async def test_a_charge_that_succeeds_while_its_order_is_cancelled_is_returned_and_never_announced(
    database: Database, gateway: HttpPaymentGateway, sandbox: Sandbox
) -> None:
    order_id = await given(database, REQUESTED)

    outcome = await charge(database, gateway, order_id)
    await happens(database, "order.cancelled", order_id)
    async with database() as uow:
        await handlers.record_charge(order_id, outcome, uow)
    returned = await refund(database, gateway, order_id)
    async with database() as uow:
        await handlers.record_refund(order_id, returned, uow)

    assert sandbox.outcomes(order_id) == ["charge succeeded", "refund refunded"]
    assert payment_of(order_id, database).status is REFUNDED
    assert [event_type for event_type, _ in decoded(database.state.outbox.values())] == ["payment.refunded.v1"]


def requested() -> tuple[Payment, Charge]:
    charge = ChargeFactory.create()
    return PaymentFactory.create(charge=charge), charge


async def test_a_later_attempt_adopts_an_earlier_charge_of_any_key(
    database: Database, gateway: HttpPaymentGateway, sandbox: Sandbox
) -> None:
    payment, card = requested()
    await stored(database, payment)
    charge_id = await gateway.charge(card, idempotency_key=uuid4(), reference=payment.order_id)

    assert await charge(database, gateway, payment.order_id, attempts=2) == Charged(charge_id)
    assert sandbox.charges(payment.order_id) == [charge_id]


async def test_a_later_attempt_adopts_no_charge_whose_money_went_back(
    database: Database, gateway: HttpPaymentGateway
) -> None:
    payment, card = requested()
    await stored(database, payment)
    other_key = uuid4()
    returned = await gateway.charge(card, idempotency_key=other_key, reference=payment.order_id)
    await gateway.refund(idempotency_key=str(other_key))

    outcome = await charge(database, gateway, payment.order_id, attempts=2)

    assert isinstance(outcome, Charged)
    assert outcome.charge_id != returned


@pytest.mark.parametrize(
    ("state", "name"), [(NONE, "order.placed"), (NONE, "order.cancelled"), (REQUESTED, "order.cancelled")]
)
async def test_a_change_has_the_time_of_its_transaction(database: Database, state: str, name: str) -> None:
    order_id = await given(database, state)

    async with database() as uow:
        await HAPPENINGS[name](order_id, uow)

    assert payment_of(order_id, database).history[-1].at == uow.now


async def test_a_refund_is_published_with_the_charge_that_was_returned_and_the_payments_version(
    database: Database,
) -> None:
    order_id = await given(database, VOIDED)

    await happens(database, "money returned", order_id)

    [record] = database.state.outbox.values()
    payment = payment_of(order_id, database)
    assert payment.charge_id == "ch_9"
    assert record.headers["ce_sequence"] == str(payment.version)


async def test_a_decline_keeps_the_gateways_reason(database: Database, gateway: HttpPaymentGateway) -> None:
    payment = PaymentFactory.create(charge=ChargeFactory.create(payment_method="pm_card_declined"))
    await stored(database, payment)

    outcome = await charge(database, gateway, payment.order_id)

    assert outcome == Declined("card_declined")
