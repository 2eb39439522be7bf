"""Every message between the services: sent by the real use case, handled by the real subscriber, in three styles."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import notifications.consumers
import orders.consumers
import payments.consumers
from faststream.kafka import TestKafkaBroker
from outboxed.consuming import BatchConsumer, create_broker, subscribe
from outboxed.messages import OutgoingRecord
from outboxed.process import Metrics
from outboxed.settings import KafkaSettings
from outboxed.testing.memory import InMemoryDatabase, StoppedClock
from outboxed.testing.records import decoded
from pact import match
from pact_faststream import MessagePact, ProviderState
from pact_faststream.matrix import Handle, Style, Subject
from pact_faststream.records import WireRecord, consumer_record

from services.notifications.tests.contract import expectations as of_notifications
from services.notifications.tests.fakes import in_memory_notifications
from services.orders.tests.contract import expectations as of_orders
from services.orders.tests.contract.states import provider_states as orders_states
from services.orders.tests.factories import CustomerFactory, OrderFactory, OrderItemFactory
from services.orders.tests.fakes import in_memory_orders
from services.orders.tests.fakes import stored as orders_stored
from services.payments.tests.contract import expectations as of_payments
from services.payments.tests.contract.states import provider_states as payments_states
from services.payments.tests.fakes import in_memory_payments

PACTS = Path("contracts/pacts")
NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
ITEM = OrderItemFactory.create()
CUSTOMER = CustomerFactory.create()
KAFKA = KafkaSettings(("localhost:9092",))
OURS, HAND_TYPED, NAIVE = "ours", "hand-typed", "naive"
PACTS_OF_MESSAGES: Sequence[MessagePact] = (
    of_payments.OF_ORDERS,
    of_orders.OF_PAYMENTS,
    of_notifications.OF_ORDERS,
    of_notifications.OF_PAYMENTS,
)


# what a careful person would write with Pact's matchers, for the fields that the consumer uses
HAND_TYPED_BODIES: Mapping[tuple[str, str], Any] = {
    ("payments", "order.placed.v1"): {
        "order_id": match.uuid("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10"),
        "total": {
            "amount": match.regex("95.00", regex=r"^\d+\.\d{2}$"),
            "currency": match.regex("EUR", regex="^[A-Z]{3}$"),
        },
        "payment_method": match.str("pm_card_ok"),
        "pay_before": match.regex(
            "2026-01-15T12:15:00.000000Z", regex=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$"
        ),
    },
    ("notifications", "order.confirmed.v1"): {
        "order_id": match.uuid("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10"),
        "customer": {"email": match.regex("ada@example.com", regex="^.+@.+$")},
    },
}
ONLY_THE_ORDER = {"order_id": match.uuid("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")}


async def subjects() -> list[Subject]:
    orders_database, payments_database = in_memory_orders(StoppedClock(NOW)), in_memory_payments(StoppedClock(NOW))
    providers: dict[str, tuple[Mapping[str, ProviderState], InMemoryDatabase[Any]]] = {
        "orders": (orders_states(orders_database), orders_database),
        "payments": (payments_states(payments_database), payments_database),
    }
    return [
        await _subject(pact, expectation.description, expectation.given, *providers[pact.provider])
        for pact in PACTS_OF_MESSAGES
        for expectation in pact.expectations
    ]


async def _subject(
    pact: MessagePact,
    description: str,
    given: str,
    states: Mapping[str, ProviderState],
    database: InMemoryDatabase[Any],
) -> Subject:
    state = states[given]
    await state.ask({})
    sent = [row for row in await database.outbox() if row.headers["ce_type"] == state.event.type][-1]
    return Subject(
        pact.consumer,
        pact.provider,
        sent,
        _handle(pact.consumer, sent),
        _styles(pact, description, sent),
        enums=("reason",),
    )


def _styles(pact: MessagePact, description: str, sent: OutgoingRecord) -> list[Style]:
    [example] = [json.loads(each.body) for each in pact.expectations if each.description == description]
    event_type = sent.headers["ce_type"]
    alike = ("notifications", "order.confirmed.v1") if "customer" in example else (pact.consumer, event_type)
    by_hand = HAND_TYPED_BODIES.get(alike, ONLY_THE_ORDER)
    return [
        Style.checked_in(OURS, pact.file(PACTS).path, description),
        Style.written(HAND_TYPED, by_hand, {"ce_type": event_type}),
        Style.written(NAIVE, match.like(example), {"ce_type": event_type}),
    ]


def _handle(consumer: str, sent: OutgoingRecord) -> Handle:
    async def handle(record: WireRecord) -> object:
        return await outcome_of(consumer, [record], [UUID(sent.key)])

    return handle


async def outcome_of(consumer: str, records: Sequence[WireRecord], order_ids: Sequence[UUID]) -> object:
    """What a consumer does with records, through its real subscriber, where it needs orders with these ids."""
    database, routes = await _consumer(consumer, order_ids)
    broker = create_broker(KAFKA)
    subscriber = subscribe(broker, BatchConsumer(consumer, routes, database, Metrics(database.clock)), KAFKA)
    async with TestKafkaBroker(broker):
        for offset, record in enumerate(records):
            await subscriber.process_message((consumer_record(replace(record, offset=offset)),))
    return _outcome(database)


async def _consumer(name: str, order_ids: Sequence[UUID]) -> tuple[InMemoryDatabase[Any], Any]:
    """A consumer, with the state that it needs to handle the messages."""
    if name == "payments":
        return in_memory_payments(StoppedClock(NOW)), payments.consumers.ROUTES
    if name == "notifications":
        return in_memory_notifications(StoppedClock(NOW)), notifications.consumers.ROUTES
    database = in_memory_orders(StoppedClock(NOW))
    known = [OrderFactory.create(order_id=order_id, customer=CUSTOMER, items=[ITEM]) for order_id in order_ids]
    await orders_stored(database, orders=known)
    return database, orders.consumers.ROUTES


def _outcome(database: InMemoryDatabase[Any]) -> object:
    """What the consumer did, without the ids and traces that are new each time."""
    state = database.state
    tasks = {key: (task.new, task.due_at) for key, task in state.tasks.items()}
    return state.tables, tasks, decoded(state.outbox.values()), state.buried_tasks
