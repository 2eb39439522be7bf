"""What a process counts as it works: what each part tells, and that no message makes a series of its own."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from outboxed.consuming import BatchConsumer, Route
from outboxed.errors import TransientError
from outboxed.ports import NewTask
from outboxed.process import Metrics, Timing
from outboxed.storage import Clock
from outboxed.storage._unit_of_work import PendingEvents
from outboxed.tasks import Task, TaskKind, Worker
from outboxed.testing.memory import InMemoryDatabase, InMemoryTaskQueue
from outboxed.testing.tokens import KeyPair
from outboxed.web import TokenVerifier, create_http_app

from ..sample import NOW, AccountCredited, MoneyMoved, credit, in_memory_accounts, moved, raw

Count = Callable[..., float | None]


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    return Metrics(clock)


@pytest.fixture
def count(metrics: Metrics) -> Count:
    """The value of a series; None where there is none."""

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    return value


@pytest.fixture
def database(clock: Clock) -> InMemoryDatabase[Any]:
    return in_memory_accounts(clock)


@pytest.fixture
def consumer(database: InMemoryDatabase[Any], metrics: Metrics) -> BatchConsumer[Any]:
    return BatchConsumer("bank", [Route(MoneyMoved, credit)], database, metrics)


# --- the consumer ---


def recorded(ago: timedelta, **parts: Any) -> Any:
    record = moved(**parts)
    headers = [(name, value) for name, value in record.headers if name != "ce_time"]
    record.headers = [*headers, ("ce_time", (datetime.now(UTC) - ago).isoformat().encode())]
    return raw(record)


async def test_an_event_is_counted_once_with_its_age(consumer: BatchConsumer[Any], count: Count) -> None:
    record, begun = recorded(timedelta(seconds=20)), time.monotonic()

    await consumer.handle([record])
    await consumer.handle([record])

    assert count("events_handled_total", type="money.moved.v1") == 1
    assert count("event_age_seconds_bucket", type="money.moved.v1", le="10.0") == 0
    assert count("event_age_seconds_bucket", type="money.moved.v1", le="30.0") == 1
    assert count("consumer_batch_duration_seconds_count") == 2
    assert 0 < (count("consumer_batch_duration_seconds_sum") or 0) <= time.monotonic() - begun, "seconds"


@pytest.mark.parametrize("said", [b"", b"yesterday", b"\xff", b"2026-01-15T12:00:00"])
async def test_an_event_whose_time_says_nothing_is_counted_without_an_age(
    consumer: BatchConsumer[Any], count: Count, said: bytes
) -> None:
    record = moved()
    record.headers = [*((name, value) for name, value in record.headers if name != "ce_time"), ("ce_time", said)]

    await consumer.handle([raw(record)])

    assert count("events_handled_total", type="money.moved.v1") == 1
    assert count("event_age_seconds_count", type="money.moved.v1") is None


async def test_a_refused_event_and_an_unreadable_record_are_dead_letters(
    consumer: BatchConsumer[Any], count: Count
) -> None:
    unreadable = moved()
    unreadable.value = b"{"

    await consumer.handle([raw(moved(amount="13.00")), raw(unreadable)])

    assert count("events_dead_lettered_total", topic="moves") == 2
    assert count("events_handled_total", type="money.moved.v1") is None
    assert count("consumer_batches_failed_total") == 0


async def test_a_batch_that_comes_again_has_failed(metrics: Metrics, count: Count) -> None:
    class Away:
        def __call__(self, **_: Any) -> Any:
            raise ConnectionRefusedError

    consumer: BatchConsumer[Any] = BatchConsumer("bank", [Route(MoneyMoved, credit)], Away(), metrics)

    with pytest.raises(ConnectionRefusedError):
        await consumer.handle([raw(moved())])

    assert count("consumer_batches_failed_total") == 1


async def test_types_that_strangers_send_make_no_series(consumer: BatchConsumer[Any], metrics: Metrics) -> None:
    await consumer.handle([raw(moved())])
    before = sum(len(family.samples) for family in metrics.registry.collect())

    await consumer.handle([raw(moved(event_type=f"money.moved.v{number}", account_id=uuid4())) for number in range(50)])

    after = sum(len(family.samples) for family in metrics.registry.collect())
    assert after - before <= 1  # events_ignored of the topic


# --- the worker ---


async def test_each_attempt_at_a_task_is_counted_by_its_outcome(
    database: InMemoryDatabase[Any], metrics: Metrics, count: Count, clock: Clock
) -> None:
    answers: list[Exception | None] = [TransientError("503"), ValueError("no such address"), None]

    async def call(_: Task) -> None:
        if (error := answers.pop(0)) is not None:
            raise error

    async def record(_: Task, __: object, ___: Any) -> None:
        pass

    kind: TaskKind[Any] = TaskKind(
        "call", record=record, call=call, gives_up=lambda error, _: isinstance(error, ValueError)
    )
    worker = Worker([kind], InMemoryTaskQueue(database), database, database.tasks_scheduled, metrics)
    async with database() as uow:
        uow.tasks.schedule(NewTask("call", "1"))

    await worker.run_due()
    clock.advance(timedelta(minutes=2))
    await worker.run_due()
    async with database() as uow:
        uow.tasks.schedule(NewTask("call", "2"))
    await worker.run_due()

    outcomes = ("postponed", "dead_lettered", "done")
    assert [count("task_attempts_total", kind="call", outcome=outcome) for outcome in outcomes] == [1, 1, 1]
    assert count("task_duration_seconds_count", kind="call") == 3
    assert count("task_age_seconds_bucket", kind="call", le="60.0") == 2
    assert count("task_age_seconds_bucket", kind="call", le="300.0") == 3


# --- the relay, and commits ---


def test_a_pass_that_failed_is_none_that_sent(metrics: Metrics, count: Count) -> None:
    metrics.pass_ended(0.1, failed=False)
    metrics.pass_ended(3.0, failed=True)

    assert count("relay_passes_failed_total") == 1
    assert (count("relay_pass_duration_seconds_count"), count("relay_pass_duration_seconds_sum")) == (1, 0.1)


def test_an_event_that_is_committed_is_counted_by_its_type(metrics: Metrics, count: Count) -> None:
    uow: Any = SimpleNamespace(events=PendingEvents("/bank", NOW))
    for _ in range(2):
        uow.events.append(AccountCredited(account_id=uuid4()), sequence=2)

    metrics.committed(uow)

    assert count("events_published_total", type=AccountCredited.type) == 2


# --- HTTP ---


async def test_requests_are_counted_by_the_template_of_their_path_and_those_of_probes_never(
    metrics: Metrics, count: Count
) -> None:
    keys = KeyPair.generate(issuer="i", audience="a", role="clerk")
    verifier = TokenVerifier([keys.public], issuer="i", audience="a", roles=("clerk",))
    app = create_http_app(title="bank", version="1", token_verifier=verifier, metrics=metrics)

    @app.get("/accounts/{account_id}")
    async def account(account_id: int) -> int:
        return 1 // account_id

    begun = time.monotonic()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bank") as client:
        for path in ("accounts/1", "accounts/2", "accounts/0", "accounts/x", "nowhere/1", "nowhere/2", "metrics"):
            await client.get(f"/{path}")
        await client.request("FROBNICATE", "/nowhere")
        await client.request("FROBNICATE", "/accounts/1")

    route = {"method": "GET", "route": "/accounts/{account_id}"}
    assert [count("http_requests_total", **route, status=status) for status in ("200", "500", "422")] == [2, 1, 1]
    assert count("http_request_duration_seconds_count", **route) == 4
    assert 0 < (count("http_request_duration_seconds_sum", **route) or 0) <= time.monotonic() - begun, "seconds"
    assert count("http_requests_total", method="other", route="other", status="404") == 3
    assert count("http_requests_total", method="other", route=route["route"], status="405") == 1


def test_a_services_own_timing_has_its_own_buckets(metrics: Metrics) -> None:
    """What takes microseconds or days would else lie in one bucket."""
    metrics.time(Timing("paid_seconds", "Until it was paid", "how", lambda _: [("card", 0.0002)], (0.0001, 0.001)))
    metrics.committed(SimpleNamespace(events=PendingEvents("/bank", NOW)))  # type: ignore[arg-type]  # what is read of it

    bounds = [
        sample.labels["le"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "paid_seconds_bucket"
    ]
    assert bounds == ["0.0001", "0.001", "+Inf"]
