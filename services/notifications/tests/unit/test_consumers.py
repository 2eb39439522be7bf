"""Kafka records in, through the test broker and the real subscriber; e-mails to be sent and dead letters out."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from outboxed.testing.records import event_record
from outboxed.testing.suites.consumer import ConsumerSuite, poisoned

from ..factories import EMAIL, order_cancelled, order_confirmed, order_data, payment_refunded
from .conftest import Consume, Database


def waiting(database: Database) -> Sequence[str]:
    """The e-mails to be sent, in the order of sending."""
    return [row.new.key for row in sorted(database.state.tasks.values(), key=lambda row: row.id)]


class TestRecords(ConsumerSuite):
    group = "notifications"
    unread = (("orders", "order.placed.v1"), ("payments", "payment.captured.v1"))
    spoil = poisoned(
        order_id_no_uuid={"order_id": "7"},
        no_customer={"customer": None},
        no_address={"customer": {"email": "nobody"}},
        address_with_a_nul={"customer": {"email": "a\0@example.com"}},
        two_lines_of_address={"customer": {"email": "a@example.com\nBcc: eve@example.com"}},
    )

    async def event(self, _: Database, order_id: UUID) -> Any:
        return order_confirmed(order_id)

    def handled(self, database: Database) -> Sequence[UUID]:
        return [UUID(key.removeprefix("confirmation.")) for key in waiting(database)]


async def test_a_confirmed_order_gets_a_confirmation(database: Database, consume: Consume, order_id: UUID) -> None:
    await consume(order_confirmed(order_id))

    assert waiting(database) == [f"confirmation.{order_id}"]
    assert database.state.table("order_notifications")[order_id].email == EMAIL


async def test_a_cancelled_order_gets_a_cancellation(database: Database, consume: Consume, order_id: UUID) -> None:
    await consume(order_cancelled(order_id))

    assert waiting(database) == [f"cancellation.{order_id}"]


async def test_no_confirmation_is_made_after_a_cancellation(database: Database, consume: Consume) -> None:
    order_id = uuid4()

    await consume(order_cancelled(order_id), order_confirmed(order_id))

    assert waiting(database) == [f"cancellation.{order_id}"]


async def test_a_refund_waits_for_the_address_and_then_goes_after_the_cancellation(
    database: Database, consume: Consume, order_id: UUID
) -> None:
    await consume(payment_refunded(order_id))
    before = waiting(database)
    await consume(order_cancelled(order_id))

    assert before == []
    assert waiting(database) == [f"cancellation.{order_id}", f"refund.{order_id}"]


@pytest.mark.parametrize("together", [True, False])
async def test_the_emails_of_one_order_are_one_group_in_the_order_of_reading(
    database: Database, consume: Consume, together: bool, order_id: UUID
) -> None:
    events = [order_confirmed(order_id), order_cancelled(order_id), payment_refunded(order_id)]

    for batch in [events] if together else [[event] for event in events]:
        await consume(*batch)

    assert waiting(database) == [f"{kind}.{order_id}" for kind in ("confirmation", "cancellation", "refund")]
    assert {row.new.group for row in database.state.tasks.values()} == {str(order_id)}


async def test_events_replayed_onto_an_empty_inbox_send_nothing(database: Database, consume: Consume) -> None:
    order_id = uuid4()
    history = [order_confirmed, order_cancelled, payment_refunded]
    await consume(*(event(order_id) for event in history))
    database.state.tasks.clear()
    before = dict(database.state.table("order_notifications"))

    await consume(*(event(order_id) for event in history))

    assert database.state.table("order_notifications") == before
    assert not waiting(database)


async def test_a_dead_letters_reason_does_not_repeat_the_customers_data(database: Database, consume: Consume) -> None:
    order_id = uuid4()
    data = order_data(order_id, customer={"email": "canary-address", "name": "Canary"})

    await consume(event_record("orders", "order.confirmed.v1", data, key=str(order_id)))

    [letter] = database.state.dead_letters.values()
    assert "canary" not in letter.reason.lower()


async def test_a_new_reason_for_a_cancellation_is_survived(database: Database, consume: Consume) -> None:
    order_id = uuid4()

    await consume(order_cancelled(order_id, reason="fraud"))

    assert waiting(database) == [f"cancellation.{order_id}"]
