"""The table of docs/domain.md: which event makes which e-mail, and when it doesn't."""

from collections.abc import Sequence
from itertools import permutations
from uuid import uuid4

import pytest
from notifications.domain import NOTIFICATIONS, Kind, NotificationInput, OrderNotifications, Status

from ..factories import EMAIL, NOW, OrderNotificationsFactory

CONFIRMATION, CANCELLATION, REFUND = Kind


def after(events: Sequence[Kind], order: OrderNotifications | None = None) -> OrderNotifications:
    order = order or OrderNotifications(uuid4())
    for event in events:
        match event:
            case Kind.CONFIRMATION:
                order = order.confirmed(EMAIL)
            case Kind.CANCELLATION:
                order = order.cancelled(EMAIL)
            case Kind.REFUND:
                order = order.refunded()
    return order


@pytest.mark.parametrize(
    ("events", "sendable"),
    [
        ([CONFIRMATION], [CONFIRMATION]),
        ([CANCELLATION], [CANCELLATION]),
        ([CONFIRMATION, CANCELLATION], [CONFIRMATION, CANCELLATION]),
        ([CANCELLATION, CONFIRMATION], [CANCELLATION]),
        ([REFUND], []),
        ([REFUND, CONFIRMATION], [CONFIRMATION, REFUND]),
        ([REFUND, CANCELLATION], [CANCELLATION, REFUND]),
        ([REFUND, CANCELLATION, CONFIRMATION], [CANCELLATION, REFUND]),
        ([CONFIRMATION, CANCELLATION, REFUND], [CONFIRMATION, CANCELLATION, REFUND]),
        ([CANCELLATION, REFUND, CONFIRMATION], [CANCELLATION, REFUND]),
    ],
)
def test_events_make_the_emails_of_the_table_in_the_order_of_reading(
    events: Sequence[Kind], sendable: Sequence[Kind]
) -> None:
    assert after(events).sendable == sendable


@pytest.mark.parametrize("events", list(permutations(Kind)))
def test_an_event_that_comes_again_changes_nothing(events: Sequence[Kind]) -> None:
    order = after(events)

    assert after(events, order) is order


@pytest.mark.parametrize("events", list(permutations(Kind)))
def test_every_change_is_a_new_version(events: Sequence[Kind]) -> None:
    order = OrderNotifications(uuid4())

    for event in events:
        changed = after([event], order)
        assert (changed.version > order.version) == (changed is not order)
        order = changed


def test_the_first_address_heard_of_stays() -> None:
    order = OrderNotifications(uuid4()).confirmed(EMAIL).cancelled("other@example.com")

    assert order.email == EMAIL


def test_a_sent_email_keeps_its_message_id_and_time() -> None:
    order = OrderNotificationsFactory.create(kinds=[CONFIRMATION, CANCELLATION])

    sent = order.sent(CANCELLATION, "<1@shop.example>", NOW)

    assert [notification.status for notification in sent.notifications] == [Status.PENDING, Status.SENT]
    assert (sent.notifications[1].message_id, sent.notifications[1].sent_at) == ("<1@shop.example>", NOW)
    assert sent.version == order.version + 1


def test_an_email_that_failed_may_still_be_sent() -> None:
    failed = OrderNotificationsFactory.create().failed(CONFIRMATION)

    assert failed.notifications[0].status is Status.FAILED
    assert failed.sent(CONFIRMATION, "<1@shop.example>", NOW).notifications[0].status is Status.SENT


def test_a_change_is_one_version_more() -> None:
    order = OrderNotifications(uuid4())

    told = order.refunded()
    addressed = told.cancelled(EMAIL)

    assert (order.version, told.version) == (0, 1)
    assert addressed.version == 3  # an address, and another e-mail


def test_each_input_makes_a_notification_and_each_kind_is_made() -> None:
    assert list(NOTIFICATIONS) == list(NotificationInput)
    assert {made.kind for made in NOTIFICATIONS.values()} == set(Kind)
