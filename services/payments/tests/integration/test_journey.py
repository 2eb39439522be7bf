"""The service between Kafka, PostgreSQL and the gateway: consumer, worker and relay as they run in production."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from backing_services.waiting import eventually
from outboxed.consuming import ConsumerRole
from outboxed.ports import NewTask
from outboxed.relay import Relay
from outboxed.storage import SqlTransactions
from outboxed.tasks import SqlTaskQueue, Worker
from outboxed.testing.adapters import SqlBackend
from outboxed.testing.records import consumer_record
from outboxed.testing.services import running
from outboxed.testing.suites.delivery import DeliverySuite
from outboxed.testing.topics import Topics
from payments.domain import Payment, PaymentStatus, payment_id_of
from payments.gateway import HttpPaymentGateway
from payments.handlers import CHARGE
from payments.storage import SqlPaymentsUnitOfWork
from payments.tasks import task_kinds

from ..factories import PaymentFactory, order_cancelled, order_placed
from ..fakes import stored
from .conftest import GatewayServer

Transactions = SqlTransactions[SqlPaymentsUnitOfWork]
MakeConsumer = Callable[..., ConsumerRole]


@pytest.fixture
def worker(transactions: Transactions, gateway_server: GatewayServer) -> Worker[Any]:
    gateway = HttpPaymentGateway(gateway_server.http, timeout=5)
    queue = SqlTaskQueue(transactions.engine, transactions.clock)
    kinds = task_kinds(gateway, gateway_timeout=5)
    return Worker(kinds, queue, transactions, transactions.tasks_scheduled)


async def find(transactions: Transactions, order_id: UUID) -> Payment | None:
    async with transactions() as uow:
        return await uow.payments.find(payment_id_of(order_id))


async def has_status(transactions: Transactions, order_id: UUID, status: PaymentStatus) -> bool:
    payment = await find(transactions, order_id)
    return payment is not None and payment.status is status


async def test_a_placed_order_is_charged_and_a_cancelled_one_gets_its_money_back(
    transactions: Transactions, consumer_role: MakeConsumer, worker: Worker[Any], relay: Relay, topics: Topics
) -> None:
    order_id = uuid4()

    async with running(consumer_role().run, worker.run, relay.run):
        await topics.send(order_placed(order_id))
        [captured] = await topics.read("payments", 1)
        await topics.send(order_cancelled(order_id))
        [_, refunded] = await topics.read("payments", 2)

    types = [dict(record.headers)["ce_type"] for record in (captured, refunded)]
    assert types == [b"payment.captured.v1", b"payment.refunded.v1"]
    assert captured.key == refunded.key == str(order_id).encode()
    assert [dict(record.headers)["ce_sequence"] for record in (captured, refunded)] == [b"2", b"3"]
    assert dict(captured.headers)["ce_source"] == b"/payments"
    assert await has_status(transactions, order_id, PaymentStatus.REFUNDED)


async def test_one_trace_follows_an_order_through_consumer_task_and_outbox(
    consumer_role: MakeConsumer, worker: Worker[Any], relay: Relay, topics: Topics
) -> None:
    trace_id = uuid4().hex
    placed = order_placed(uuid4())
    traced = consumer_record(
        "orders", placed.value, key=placed.key, headers=[*placed.headers, ("traceparent", _parent(trace_id))]
    )

    async with running(consumer_role().run, worker.run, relay.run):
        await topics.send(traced)
        [captured] = await topics.read("payments", 1)

    assert dict(captured.headers)["traceparent"].decode().split("-")[1] == trace_id


def _parent(trace_id: str) -> bytes:
    return f"00-{trace_id}-00f067aa0ba902b7-01".encode()


class TestDelivery(DeliverySuite):
    topic = "orders"

    async def event(self, _: Transactions) -> Any:
        return order_placed(uuid4())

    async def is_handled(self, transactions: Transactions, event: Any) -> bool:
        return await has_status(transactions, UUID(event.key.decode()), PaymentStatus.REQUESTED)


async def test_poison_becomes_a_dead_letter_and_its_neighbours_are_handled(
    transactions: Transactions, consumer_role: MakeConsumer, topics: Topics
) -> None:
    before, after = uuid4(), uuid4()
    poison = consumer_record(
        "orders", b'{"total": 1}', key=str(before).encode(), headers=[("ce_type", b"order.placed.v1"), ("ce_id", b"1")]
    )

    async with running(consumer_role().run):
        await topics.send(order_placed(before), poison, order_cancelled(before), order_placed(after))
        await eventually(lambda: has_status(transactions, before, PaymentStatus.VOIDED))
        await eventually(lambda: has_status(transactions, after, PaymentStatus.REQUESTED))

    assert len(await SqlBackend(transactions).dead_letters()) == 1


async def test_a_task_of_a_worker_that_died_is_done_by_the_next_when_its_lease_ends(
    transactions: Transactions, worker: Worker[Any], topics: Topics, consumer_role: MakeConsumer, order_id: UUID
) -> None:
    async with running(consumer_role().run):
        await topics.send(order_placed(order_id))
        await eventually(lambda: has_status(transactions, order_id, PaymentStatus.REQUESTED))
    queue = SqlTaskQueue(transactions.engine, transactions.clock)
    lease = worker.kinds[0].lease
    assert await queue.claim(CHARGE, limit=1, lease=lease)  # by a worker that dies

    assert await worker.run_due() == 0
    transactions.clock.advance(lease + timedelta(seconds=1))
    await worker.run_due()

    assert await has_status(transactions, order_id, PaymentStatus.CAPTURED)


async def test_several_workers_charge_each_order_once(
    transactions: Transactions, worker: Worker[Any], gateway_server: GatewayServer
) -> None:
    payments = [PaymentFactory.create() for _ in range(12)]
    await stored(transactions, *payments)
    async with transactions() as uow:
        for payment in payments:
            uow.tasks.schedule(NewTask(CHARGE, str(payment.order_id)))

    async with running(worker.run, worker.run, worker.run):
        await eventually(lambda: _no_tasks(transactions))

    ledger = (await gateway_server.http.get("/_ledger")).json()["entries"]
    for payment in payments:
        assert [entry["outcome"] for entry in ledger if entry["reference"] == str(payment.order_id)] == ["succeeded"]


async def _no_tasks(transactions: Transactions) -> bool:
    return not await SqlBackend(transactions).tasks()
