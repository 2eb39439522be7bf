from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from payments.domain import TRANSITIONS, Payment, PaymentInput, PaymentStatus, payment_id_of
from payments.events import PUBLISHED, PaymentCaptured, PaymentRefunded, event_of

from ..factories import CHARGE_ID, NOW, PAYMENTS, ChargeFactory, PaymentFactory, voided_unseen

LATER = NOW + timedelta(minutes=1)
REQUESTED, CAPTURED, DECLINED, VOIDED, REFUNDED = PaymentStatus

CALLS: dict[str, Callable[[Payment], Payment]] = {
    "order.cancelled": lambda payment: payment.void(LATER),
    "charge succeeded": lambda payment: payment.capture("ch_2", LATER),
    "charge declined": lambda payment: payment.decline(LATER),
    "money returned": lambda payment: payment.refund("ch_2", LATER),
}
TABLE = {
    (REQUESTED, "order.cancelled"): VOIDED,
    (REQUESTED, "charge succeeded"): CAPTURED,
    (REQUESTED, "charge declined"): DECLINED,
    (CAPTURED, "money returned"): REFUNDED,
    (VOIDED, "money returned"): REFUNDED,
}
NOTHING_HAPPENS = [(status, name) for status in PaymentStatus for name in CALLS if (status, name) not in TABLE]


@pytest.mark.parametrize(("before", "transition", "after"), [(*cell, after) for cell, after in TABLE.items()])
def test_a_transition_of_the_table_is_written_into_the_history(
    before: PaymentStatus, transition: str, after: PaymentStatus
) -> None:
    payment = PAYMENTS[before]()

    changed = CALLS[transition](payment)

    assert changed.status is after
    assert changed.history == (*payment.history, changed.history[-1])
    assert (changed.history[-1].status, changed.history[-1].at) == (after, LATER)
    assert changed.version == payment.version + 1


@pytest.mark.parametrize(("status", "transition"), NOTHING_HAPPENS)
def test_where_the_table_has_no_entry_nothing_happens(status: PaymentStatus, transition: str) -> None:
    payment = PAYMENTS[status]()

    assert CALLS[transition](payment) is payment


def test_a_capture_and_a_refund_remember_the_gateways_charge() -> None:
    assert PaymentFactory.create().capture("ch_7", NOW).charge_id == "ch_7"
    assert PaymentFactory.create().void(NOW).refund("ch_8", NOW).charge_id == "ch_8"


def test_a_decline_and_a_void_have_no_charge() -> None:
    assert PaymentFactory.create().decline(NOW).charge_id is None
    assert PaymentFactory.create().void(NOW).charge_id is None


def test_an_order_has_the_same_payment_id_however_often_it_is_asked_for(order_id: UUID) -> None:
    assert payment_id_of(order_id) == payment_id_of(order_id) == PaymentFactory.create(order_id=order_id).id
    assert payment_id_of(order_id) != payment_id_of(uuid4())


def test_a_payment_may_be_charged_until_its_deadline_and_not_at_it() -> None:
    payment = PaymentFactory.create(charge=ChargeFactory.create(pay_before=LATER))

    assert payment.may_be_charged(LATER - timedelta(microseconds=1))
    assert not payment.may_be_charged(LATER)


@pytest.mark.parametrize("status", [CAPTURED, DECLINED, VOIDED, REFUNDED])
def test_only_a_requested_payment_may_be_charged(status: PaymentStatus) -> None:
    assert not PAYMENTS[status](charge=ChargeFactory.create(pay_before=LATER)).may_be_charged(NOW)


def test_a_payment_whose_order_was_never_seen_has_nothing_to_charge() -> None:
    assert voided_unseen().charge is None
    assert not voided_unseen().may_be_charged(NOW)


@pytest.mark.parametrize(("status", "owes"), [(s, s in {CAPTURED, VOIDED}) for s in PaymentStatus])
def test_money_may_be_owed_by_captured_and_voided_payments_alone(status: PaymentStatus, owes: bool) -> None:
    assert PAYMENTS[status]().may_owe_money is owes


def test_a_capture_is_published_with_its_amount_and_time() -> None:
    payment = PAYMENTS[CAPTURED]()

    event = PaymentCaptured.of(payment).model_dump(mode="json")

    assert event == {
        "payment_id": str(payment.id),
        "order_id": str(payment.order_id),
        "amount": {"amount": "50.00", "currency": "CHF"},
        "captured_at": "2026-01-15T12:00:00.000000Z",
    }


def test_no_refund_is_published_of_a_payment_without_an_amount() -> None:
    refunded = voided_unseen().refund(CHARGE_ID, NOW)

    with pytest.raises(ValueError, match="never requested"):
        PaymentRefunded.of(refunded)


@pytest.mark.parametrize("status", [None, *PaymentStatus])
def test_each_status_says_what_each_input_leads_to(status: PaymentStatus | None) -> None:
    row = TRANSITIONS.get(status, {})

    assert set(row) == set(PaymentInput), f"domain.py: give {status} a row in TRANSITIONS, with every input"


ENDED_AT, REFUNDED_AT = NOW + timedelta(minutes=2), NOW + timedelta(minutes=3)
ASKED = PaymentFactory.create(at=NOW)
TOLD = [
    ASKED.capture(CHARGE_ID, ENDED_AT),
    ASKED.decline(ENDED_AT),
    ASKED.capture(CHARGE_ID, ENDED_AT).refund(CHARGE_ID, REFUNDED_AT),
]
TIMES = {"captured_at": ENDED_AT, "declined_at": ENDED_AT, "refunded_at": REFUNDED_AT}


def test_each_time_of_an_event_is_that_of_what_its_name_says() -> None:
    events = [event for payment in TOLD if (event := event_of(payment)) is not None]
    parts = [part for event in events for part in event if isinstance(part[1], datetime)]
    times = [(name, value) for name, value in parts if name in TIMES or name.endswith("_at")]

    assert {event.type for event in events} == {event.type for event in PUBLISHED}, "give a new event its line in TOLD"
    assert times == [(name, TIMES.get(name)) for name, _ in times], "give a new time its line in TIMES"
