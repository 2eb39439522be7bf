"""Charges and refunds against the sandbox gateway, through the worker: what is retried, adopted, ended, returned."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx
import pytest
from backing_services.waiting import eventually
from outboxed.storage import Clock
from outboxed.tasks import Worker
from outboxed.testing.memory import InMemoryTaskQueue, StoredTask
from outboxed.testing.records import decoded
from payments.domain import Payment, PaymentStatus
from payments.gateway import HttpPaymentGateway
from payments.handlers import CHARGE, REFUND
from payments.settings import Settings
from payments.tasks import task_kinds

from ..factories import PaymentFactory, order_cancelled, order_placed
from ..fakes import payment_of
from ..sandbox import Sandbox
from .conftest import Consume, Database, PutFaults

Place = Callable[..., Awaitable[UUID]]
Retry = Callable[..., Awaitable[None]]
BACKOFF = timedelta(minutes=2)  # longer than any


@pytest.fixture
def placed(consume: Consume) -> Place:
    async def place(payment_method: str = "pm_card_ok") -> UUID:
        order_id = uuid4()
        await consume(order_placed(order_id, payment_method=payment_method))
        return order_id

    return place


@pytest.fixture
def retried(worker: Worker[Any], clock: Clock) -> Retry:
    """Runs what is due, then again after every back-off is over, so many times in all."""

    async def run(times: int = 2) -> None:
        for _ in range(times):
            await worker.run_due()
            clock.advance(BACKOFF)

    return run


def published(database: Database) -> Sequence[str]:
    return [event_type for event_type, _ in decoded(database.state.outbox.values())]


def waiting(database: Database, kind: str, order_id: UUID) -> StoredTask:
    return database.state.tasks[kind, str(order_id)]


@dataclass
class Shuffled:
    """In place of a repository: the payments by their ids, in an order of its own."""

    kept: Sequence[Payment]

    async def find_many(self, ids: Sequence[UUID]) -> dict[UUID, Payment]:
        return {payment.id: payment for payment in reversed(self.kept) if payment.id in ids}


async def test_of_several_tasks_each_is_of_its_own_payment(sandbox: Sandbox) -> None:
    """A database gives rows in any order, and none for what isn't there."""
    payments = [PaymentFactory.create() for _ in range(3)]
    kinds = task_kinds(HttpPaymentGateway(sandbox.http, timeout=5), gateway_timeout=5)
    keys = [str(payments[0].order_id), str(uuid4()), *(str(payment.order_id) for payment in payments[1:])]
    tasks: Any = [SimpleNamespace(key=key) for key in keys]
    uow: Any = SimpleNamespace(payments=Shuffled(payments))

    for kind in kinds:
        assert kind.read is not None
        assert await kind.read(tasks, uow) == [payments[0], None, *payments[1:]]


async def test_a_placed_order_is_charged_and_announced_as_captured(
    database: Database, worker: Worker[Any], sandbox: Sandbox, placed: Place
) -> None:
    order_id = await placed()

    await worker.run_due()

    assert payment_of(order_id, database).status is PaymentStatus.CAPTURED
    assert published(database) == ["payment.captured.v1"]
    assert sandbox.outcomes(order_id) == ["charge succeeded"]
    assert not database.state.tasks


async def test_a_declined_card_is_announced_and_never_tried_again(
    database: Database, retried: Retry, sandbox: Sandbox, placed: Place
) -> None:
    order_id = await placed("pm_card_declined")

    await retried()

    assert payment_of(order_id, database).status is PaymentStatus.DECLINED
    assert published(database) == ["payment.declined.v1"]
    assert sandbox.outcomes(order_id) == ["charge declined"]


async def test_a_time_out_is_no_decline_and_is_tried_again_later(
    database: Database, worker: Worker[Any], placed: Place
) -> None:
    order_id = await placed("pm_card_slow")

    await worker.run_due()

    task = waiting(database, CHARGE, order_id)
    assert payment_of(order_id, database).status is PaymentStatus.REQUESTED
    assert (task.attempts, task.last_error) == (1, "ServiceTimeoutError: no answer from the gateway within 5 s")
    assert await worker.run_due() == 0
    assert not published(database)


async def test_a_charge_that_was_made_but_not_answered_is_adopted_by_the_next_attempt(
    database: Database, retried: Retry, sandbox: Sandbox, placed: Place
) -> None:
    order_id = await placed("pm_card_timeout_after_charge")

    await retried()

    [charge_id] = sandbox.charges(order_id)
    assert payment_of(order_id, database).charge_id == charge_id
    assert published(database) == ["payment.captured.v1"]
    assert sandbox.outcomes(order_id) == ["charge succeeded"]  # the second attempt asked, and did not charge


@pytest.mark.parametrize("fault", [{"action": "garbage"}, {"action": "timeout_after"}])
async def test_whatever_the_first_answer_was_an_order_is_charged_once(
    database: Database, retried: Retry, sandbox: Sandbox, placed: Place, faults: PutFaults, fault: dict[str, Any]
) -> None:
    await faults({"operation": "charge", **fault})
    order_id = await placed()

    await retried()

    assert len(sandbox.charges(order_id)) == 1
    assert payment_of(order_id, database).status is PaymentStatus.CAPTURED


async def test_a_gateway_that_fails_for_a_while_is_asked_under_the_same_key_until_it_answers(
    database: Database, retried: Retry, sandbox: Sandbox, placed: Place
) -> None:
    order_id = await placed("pm_card_flaky")

    await retried(3)

    assert sandbox.outcomes(order_id) == ["charge unavailable", "charge unavailable", "charge succeeded"]
    assert payment_of(order_id, database).status is PaymentStatus.CAPTURED


async def test_a_charge_that_cannot_be_looked_up_is_not_made_blindly(
    retried: Retry, sandbox: Sandbox, placed: Place, faults: PutFaults
) -> None:
    await faults({"operation": "charge", "action": "status", "status": 503}, {"operation": "list", "action": "garbage"})
    order_id = await placed()

    await retried()

    assert not sandbox.outcomes(order_id)


async def test_a_gateway_that_names_a_time_is_left_alone_until_then(
    database: Database, worker: Worker[Any], clock: Clock, placed: Place, faults: PutFaults
) -> None:
    await faults({"operation": "charge", "action": "status", "status": 429, "seconds": 30})
    order_id = await placed()

    await worker.run_due()
    clock.advance(timedelta(seconds=29))
    assert await worker.run_due() == 0
    clock.advance(timedelta(seconds=2))
    await worker.run_due()

    assert payment_of(order_id, database).status is PaymentStatus.CAPTURED


async def test_a_charge_ends_when_its_order_is_cancelled(
    database: Database, consume: Consume, retried: Retry, sandbox: Sandbox, placed: Place
) -> None:
    order_id = await placed()
    await consume(order_cancelled(order_id))

    await retried()

    assert sandbox.outcomes(order_id) == ["refund nothing_to_refund"]
    assert payment_of(order_id, database).status is PaymentStatus.VOIDED
    assert not database.state.tasks
    assert not published(database)


async def test_nothing_is_asked_of_the_gateway_once_the_deadline_has_passed(
    database: Database, worker: Worker[Any], sandbox: Sandbox, clock: Clock, placed: Place
) -> None:
    order_id = await placed()
    clock.advance(timedelta(minutes=15))

    await worker.run_due()

    assert not sandbox.outcomes(order_id)
    assert not database.state.tasks


async def test_a_charge_of_unknown_outcome_at_its_deadline_is_returned_with_the_cancellation(
    database: Database, consume: Consume, retried: Retry, sandbox: Sandbox, clock: Clock, placed: Place
) -> None:
    order_id = await placed("pm_card_timeout_after_charge")
    await retried(1)
    clock.advance(timedelta(minutes=15))
    await retried(1)

    await consume(order_cancelled(order_id))
    await retried(1)

    assert sandbox.outcomes(order_id) == ["charge succeeded", "refund refunded"]
    assert published(database) == ["payment.refunded.v1"]
    assert payment_of(order_id, database).status is PaymentStatus.REFUNDED


async def test_a_captured_payment_of_a_cancelled_order_is_returned(
    database: Database, consume: Consume, worker: Worker[Any], sandbox: Sandbox, placed: Place
) -> None:
    order_id = await placed()
    await worker.run_due()
    await consume(order_cancelled(order_id))

    await worker.run_due()

    assert sandbox.outcomes(order_id) == ["charge succeeded", "refund refunded"]
    assert published(database) == ["payment.captured.v1", "payment.refunded.v1"]
    assert not database.state.tasks


async def test_a_refund_never_gives_up(
    database: Database, consume: Consume, retried: Retry, sandbox: Sandbox, placed: Place, faults: PutFaults
) -> None:
    order_id = await placed()
    await retried(1)
    await consume(order_cancelled(order_id))
    await faults({"operation": "refund", "action": "status", "status": 500, "times": 30})

    await retried(30)
    assert waiting(database, REFUND, order_id).attempts == 30
    await retried(1)

    assert sandbox.outcomes(order_id) == ["charge succeeded", "refund refunded"]
    assert payment_of(order_id, database).status is PaymentStatus.REFUNDED
    assert not database.state.buried_tasks


async def test_a_charge_never_gives_up_before_its_deadline(
    database: Database, worker: Worker[Any], clock: Clock, placed: Place, faults: PutFaults
) -> None:
    await faults({"operation": "charge", "action": "status", "status": 500, "times": 12})
    order_id = await placed()

    for _ in range(12):
        await worker.run_due()
        clock.advance(timedelta(seconds=61))
    await worker.run_due()

    assert payment_of(order_id, database).status is PaymentStatus.CAPTURED
    assert not database.state.buried_tasks


async def test_a_worker_that_lost_its_lease_writes_nothing(
    database: Database, worker: Worker[Any], clock: Clock, placed: Place
) -> None:
    order_id = await placed()
    queue = InMemoryTaskQueue(database)
    kind = worker.kinds[0]
    [slow] = await queue.claim(CHARGE, limit=1, lease=kind.lease)
    clock.advance(kind.lease + timedelta(seconds=1))
    await queue.claim(CHARGE, limit=1, lease=kind.lease)

    await worker.perform(kind, slow)

    assert payment_of(order_id, database).status is PaymentStatus.REQUESTED
    assert not published(database)


async def test_a_call_gets_time_for_two_answers(worker: Worker[Any]) -> None:
    for kind in worker.kinds:
        assert kind.limit >= timedelta(seconds=2 * 5)


async def test_a_charge_or_refund_whose_worker_was_killed_comes_again_within_ten_seconds_by_default(
    gateway: HttpPaymentGateway,
) -> None:
    for kind in task_kinds(gateway, gateway_timeout=Settings().gateway_timeout_seconds):
        assert kind.lease <= timedelta(seconds=10)


@asynccontextmanager
async def calls_answered_by(
    answer: Callable[[httpx.Request], Coroutine[None, None, httpx.Response]], database: Database
) -> AsyncIterator[None]:
    """A worker runs in the block whose calls to the gateway are answered by this function."""
    stop = anyio.Event()
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://gateway") as http:
        kinds = task_kinds(HttpPaymentGateway(http, timeout=5), gateway_timeout=5)
        worker: Worker[Any] = Worker(kinds, InMemoryTaskQueue(database), database, database.tasks_scheduled)
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run(stop))
            yield
            stop.set()


async def test_several_charges_are_under_way_at_once_and_do_not_hold_up_refunds(
    database: Database, consume: Consume, placed: Place
) -> None:
    cancelled = await placed()
    await consume(order_cancelled(cancelled))
    orders = [await placed() for _ in range(16)]
    under_way: set[str] = set()
    enough = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/refunds":
            return httpx.Response(200, json={"refunded_charge": None})
        under_way.add(request.headers["Idempotency-Key"])
        await enough.wait()
        return httpx.Response(201, json={"id": "ch_1", "status": "succeeded"})

    async with calls_answered_by(answer, database):
        await eventually(lambda: len(under_way) >= 15 and (REFUND, str(cancelled)) not in database.state.tasks)
        enough.set()
        await eventually(lambda: not database.state.tasks)

    assert {payment_of(order_id, database).status for order_id in orders} == {PaymentStatus.CAPTURED}


async def test_several_refunds_are_under_way_at_once(
    database: Database, consume: Consume, placed: Place, worker: Worker[Any]
) -> None:
    """After an outage of the gateway many customers wait for their money."""
    orders = [await placed() for _ in range(8)]
    await worker.run_due()
    for order_id in orders:
        await consume(order_cancelled(order_id))
    under_way: set[str] = set()
    enough = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        under_way.add(request.content.decode())
        await enough.wait()
        return httpx.Response(200, json={"refunded_charge": None})

    async with calls_answered_by(answer, database):
        await eventually(lambda: len(under_way) == len(orders))
        enough.set()
        await eventually(lambda: not database.state.tasks)


async def test_no_error_and_no_number_of_attempts_gives_somebodys_money_up(gateway: HttpPaymentGateway) -> None:
    assert {kind.name: kind.gives_up for kind in task_kinds(gateway, gateway_timeout=5)} == {CHARGE: None, REFUND: None}
