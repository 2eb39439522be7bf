"""The service between PostgreSQL and Kafka: relay and consumer as they run in production."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from backing_services.waiting import eventually
from orders import handlers
from orders.domain import OrderStatus, User
from orders.handlers import OrderPolicy, PlaceOrder
from orders.storage import SqlOrdersUnitOfWork
from outboxed.consuming import ConsumerRole
from outboxed.relay import Relay
from outboxed.storage import SqlTransactions
from outboxed.testing.adapters import SqlBackend
from outboxed.testing.records import consumer_record, event_record
from outboxed.testing.services import running
from outboxed.testing.suites.delivery import DeliverySuite
from outboxed.testing.topics import Topics

from ..factories import OrderFactory, payment_captured, payment_declined
from ..fakes import stored

Transactions = SqlTransactions[SqlOrdersUnitOfWork]
MakeConsumer = Callable[..., ConsumerRole]


async def place(transactions: Transactions, customer: User, policy: OrderPolicy) -> UUID:
    async with transactions() as uow:
        order = await handlers.place_order(PlaceOrder(customer.id, {"ABC": 1}, "pm_card_ok"), uow, policy)
    return order.id


async def status_of(transactions: Transactions, order_id: UUID) -> OrderStatus:
    async with transactions() as uow:
        order = await uow.orders.find(order_id)
    assert order is not None
    return order.status


async def has_status(transactions: Transactions, order_id: UUID, status: OrderStatus) -> bool:
    return await status_of(transactions, order_id) is status


# --- out ---


async def test_a_committed_event_arrives_on_kafka_with_its_key_and_headers_and_leaves_the_outbox(
    transactions: Transactions, relay: Relay, topics: Topics, customer: User, policy: OrderPolicy
) -> None:
    async with running(relay.run):
        order_id = await place(transactions, customer, policy)
        [row] = await topics.read("orders", 1)
        await eventually(lambda: _is_empty(transactions))

    headers = dict(row.headers)
    assert row.key == str(order_id).encode()
    assert headers["ce_type"] == b"order.placed.v1"
    assert (headers["ce_source"], headers["ce_subject"]) == (b"/orders", row.key)
    assert (headers["ce_specversion"], headers["ce_sequence"]) == (b"1.0", b"1")
    assert headers["content-type"] == b"application/json"
    assert {"ce_id", "ce_time"} < set(headers)


async def _is_empty(transactions: Transactions) -> bool:
    return not await SqlBackend(transactions).outbox()


async def test_events_of_an_order_arrive_in_one_partition_in_their_order(
    transactions: Transactions, relay: Relay, topics: Topics, customer: User, policy: OrderPolicy
) -> None:
    order_ids = [await place(transactions, customer, policy) for _ in range(5)]
    for order_id in order_ids:
        async with transactions() as uow:
            await handlers.cancel_order(order_id, uow, user_id=None)

    async with running(relay.run):
        records = await topics.read("orders", 10)

    for order_id in order_ids:
        mine = sorted((r for r in records if r.key == str(order_id).encode()), key=lambda record: record.offset)
        assert len({record.partition for record in mine}) == 1
        assert [dict(record.headers)["ce_sequence"] for record in mine] == [b"1", b"2"]


async def test_of_two_relays_one_sends(
    transactions: Transactions, relay: Relay, topics: Topics, customer: User, policy: OrderPolicy
) -> None:
    other = Relay(transactions.engine, topics.kafka, transactions.events_appended)

    async with running(relay.run, other.run):
        order_ids = [await place(transactions, customer, policy) for _ in range(20)]
        await eventually(lambda: _is_empty(transactions))
        await place(transactions, customer, policy)
        records = await topics.read("orders", 21)

    assert {str(order_id).encode() for order_id in order_ids} < {record.key for record in records}
    assert len({dict(record.headers)["ce_id"] for record in records}) == 21


# --- in ---


class TestDelivery(DeliverySuite):
    topic = "payments"

    async def event(self, transactions: Transactions) -> Any:
        order = OrderFactory.create()
        await stored(transactions, orders=[order])
        return payment_captured(order.id)

    async def is_handled(self, transactions: Transactions, event: Any) -> bool:
        return await has_status(transactions, UUID(event.key.decode()), OrderStatus.CONFIRMED)

    async def effects(self, backend: SqlBackend) -> int:
        return len(await backend.outbox())


async def _all_committed(topics: Topics, count: int) -> bool:
    return await topics.committed("payments") == count


async def test_poison_becomes_a_dead_letter_and_its_neighbours_are_handled(
    transactions: Transactions, consumer_role: MakeConsumer, topics: Topics
) -> None:
    before, after = OrderFactory.create(), OrderFactory.create()
    await stored(transactions, orders=[before, after])
    poison = consumer_record(
        "payments", b"{\0", key=str(before.id).encode(), headers=[("ce_type", b"payment.captured.v1"), ("ce_id", b"1")]
    )
    tombstone = consumer_record("payments", None, key=str(after.id).encode(), headers=[("x", None), ("y", b"\xff")])
    unknown = event_record("payments", "payment.exploded.v1", {}, key=str(after.id))

    async with running(consumer_role().run):
        await topics.send(
            payment_captured(before.id),
            poison,
            payment_declined(before.id),
            tombstone,
            unknown,
            payment_captured(after.id),
        )
        await eventually(lambda: has_status(transactions, after.id, OrderStatus.CONFIRMED))
        await eventually(lambda: _all_committed(topics, 6))

    letters = await SqlBackend(transactions).dead_letters()
    assert {letter.record.topic for letter in letters} == {"payments"}
    assert {(letter.record.key, letter.record.value) for letter in letters} == {
        (poison.key, poison.value),
        (tombstone.key, None),
    }
    assert await status_of(transactions, before.id) is OrderStatus.CONFIRMED


async def test_a_batch_comes_again_after_a_transient_error(
    transactions: Transactions, consumer_role: MakeConsumer, topics: Topics
) -> None:
    order = OrderFactory.create()
    await stored(transactions, orders=[order])
    failures = iter([ConnectionRefusedError("the database is away"), TimeoutError()])

    @asynccontextmanager
    async def away_at_first() -> AsyncIterator[Any]:
        if (failure := next(failures, None)) is not None:
            raise failure
        async with transactions() as uow:
            yield uow

    async with running(consumer_role(away_at_first).run):
        await topics.send(payment_captured(order.id))
        await eventually(lambda: has_status(transactions, order.id, OrderStatus.CONFIRMED))

    assert not await SqlBackend(transactions).dead_letters()
