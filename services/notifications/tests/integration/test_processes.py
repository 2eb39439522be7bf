"""`python -m notifications` as a process: it serves its health, stops in time, and says in one line what is wrong."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from backing_services.kafka import MockKafka
from backing_services.postgres import DatabaseIsolation, EmbeddedPostgres
from backing_services.processes import HttpReady, ManagedProcess, ProcessSpec, free_port
from backing_services.waiting import eventually
from notifications.storage import SqlNotificationsUnitOfWork
from outboxed.messages import EventIdentity
from outboxed.storage import Clock, SqlTransactions, create_engine, migrate
from outboxed.testing.adapters import SqlBackend
from outboxed.testing.topics import Topics
from outboxed.testing.tracking import RunningParticipant, tracked

from ..factories import order_confirmed
from .conftest import Mailbox

Start = Callable[..., ManagedProcess]


@pytest.fixture
async def process(
    tmp_path: Path,
    isolation: DatabaseIsolation,
    topics: Topics,
    mailbox: Mailbox,
    transactions: SqlTransactions[SqlNotificationsUnitOfWork],  # noqa: ARG001 - empties the database afterwards
) -> AsyncIterator[Start]:
    """Makes a process with a role; none outlives its test."""
    made: list[ManagedProcess] = []

    def make(role: str, *, port: int | None = None, **variables: str) -> ManagedProcess:
        port = port or free_port()
        environment = {
            "NOTIFICATIONS_HTTP_PORT": str(port),
            "NOTIFICATIONS_DATABASE_URL": isolation.url,
            "NOTIFICATIONS_KAFKA_BOOTSTRAP_SERVERS": ",".join(topics.kafka.bootstrap_servers),
            "NOTIFICATIONS_KAFKA_TOPIC_PREFIX": topics.kafka.topic_prefix,
            "NOTIFICATIONS_KAFKA_SESSION_TIMEOUT_MS": str(topics.kafka.session_timeout_ms),
            "NOTIFICATIONS_KAFKA_FETCH_MAX_WAIT_MS": str(topics.kafka.fetch_max_wait_ms),
            "NOTIFICATIONS_SMTP_PORT": str(mailbox.port),
            **{f"NOTIFICATIONS_{name}": value for name, value in variables.items()},
        }
        ready = HttpReady(f"http://127.0.0.1:{port}/health/ready")
        command = [sys.executable, "-m", "notifications", "--role", role]
        made.append(ManagedProcess(ProcessSpec("notifications", command, tmp_path / "log", environment, ready)))
        return made[-1]

    yield make
    for each in made:
        await each.stop(0)


async def test_a_whole_service_sends_an_email_and_stops_in_time(
    process: Start, topics: Topics, mailbox: Mailbox, order_id: UUID
) -> None:
    service = process("all")
    await service.start()
    await topics.send(order_confirmed(order_id))
    await eventually(lambda: len(mailbox.store) == 1)

    service.terminate()

    # a worker that isn't told, or doesn't hear it, has half a minute
    async with asyncio.timeout(15):
        assert await service.wait() == 0
    lines = [json.loads(line) for line in service.output().splitlines()]
    assert {"service": "notifications", "order_id": str(order_id)}.items() <= _line(lines, "task_done").items()
    assert _line(lines, "task_done")["trace_id"] == _line(lines, "event_handled")["trace_id"]
    assert "ada@example.com" not in service.output()


async def test_what_a_process_does_can_be_tracked_from_outside(
    process: Start, topics: Topics, mailbox: Mailbox, isolation: DatabaseIsolation
) -> None:
    service = process("all")
    await service.start()
    part = RunningParticipant("notifications", isolation.url, topics.kafka, ["orders", "payments"], ["send_email"])

    async with tracked(part, logs=[service.spec.log]) as session:
        await topics.send(order_confirmed(uuid4()))

    assert len(mailbox.store) == 1
    # the line follows the commit
    chain = await eventually(lambda: session.sequence.chain("send_email"))
    assert chain == "order.confirmed.v1 -> send_email"
    session.published("order.confirmed.v1").single()
    session.nothing_else()


def _line(lines: list[dict[str, str]], event: str) -> dict[str, str]:
    return next(line for line in lines if line["event"] == event)


async def test_a_consumer_without_kafka_and_database_is_live_tells_its_metrics_and_stops_in_time(
    process: Start,
) -> None:
    nobody = free_port()
    url = f"postgresql+asyncpg://nobody@127.0.0.1:{nobody}/nothing"
    port = free_port()
    consumer = process("consumer", port=port, DATABASE_URL=url, KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{nobody}")
    await consumer.spawn()
    await eventually(lambda: "waiting_for_database" in consumer.output())

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        paths = ["/health/live", "/health/ready", "/metrics", "/asyncapi.json", "/api/v1/notifications"]
        answers = {path: await http.get(path) for path in paths}
    consumer.terminate()

    assert await consumer.wait() == 0  # else its backstop ends it, with 1
    assert [answer.status_code for answer in answers.values()] == [200, 503, 200, 200, 404]
    assert "database_up 0.0" in answers["/metrics"].text


@pytest.fixture
async def own_postgres() -> AsyncIterator[EmbeddedPostgres]:
    """A server with the service's schema that a test may start late."""
    with EmbeddedPostgres(port=0) as server:
        engine = create_engine(server.url("postgres"), application_name="tests")
        await migrate(engine, "notifications")
        await engine.dispose()
        server.stop()
        yield server


@pytest.fixture
def own_kafka() -> Iterator[MockKafka]:
    with MockKafka() as kafka:
        yield kafka


@pytest.mark.parametrize("first", ["postgresql", "kafka"])
async def test_a_service_that_starts_before_everything_else_says_what_it_waits_for_once_and_then_works(
    process: Start, own_postgres: EmbeddedPostgres, own_kafka: MockKafka, mailbox: Mailbox, first: str
) -> None:
    topics = await Topics.create(own_kafka, ["orders", "payments"])
    await topics.send(order_confirmed(uuid4()))
    own_kafka.set_down()
    service = process(
        "all",
        DATABASE_URL=own_postgres.url("postgres"),
        KAFKA_BOOTSTRAP_SERVERS=",".join(topics.kafka.bootstrap_servers),
        KAFKA_TOPIC_PREFIX=topics.kafka.topic_prefix,
    )

    await service.spawn()
    await eventually(lambda: "waiting_for_database" in service.output())
    if first == "postgresql":
        own_postgres.start()
        await eventually(lambda: "waiting_for_kafka" in service.output())
        own_kafka.set_up()
    else:
        own_kafka.set_up()
        own_postgres.start()
    await eventually(lambda: len(mailbox.store) == 1, describe=service.output)

    told = [line for line in map(json.loads, service.output().splitlines()) if line["level"] != "info"]
    events = list(dict.fromkeys(line["event"] for line in told))  # a database that starts has more than one reason
    expected = ["waiting_for_database", "waiting_for_kafka"] if first == "postgresql" else ["waiting_for_database"]
    assert events == expected
    assert told[0]["reason"].startswith("the database does not answer: Connection refused")
    assert told[0]["address"] == f"127.0.0.1:{own_postgres.port}/postgres"


async def test_a_worker_prunes_in_the_background(
    process: Start, transactions: SqlTransactions[SqlNotificationsUnitOfWork], clock: Clock
) -> None:
    clock.advance(timedelta(days=-15))
    async with transactions() as uow:
        await uow.inbox.insert([EventIdentity("/orders", "long ago")])
    clock.advance(timedelta(days=15))
    async with transactions() as uow:
        await uow.inbox.insert([EventIdentity("/orders", "just now")])

    await process("worker").start()

    async def is_pruned() -> bool:
        return await SqlBackend(transactions).inbox() == {EventIdentity("/orders", "just now")}

    await eventually(is_pruned)


async def test_a_busy_port_is_one_clear_line(process: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        relay = process("relay", port=port)
        await relay.spawn()

        assert await relay.wait() == 1

    told = f"cannot listen on 127.0.0.1:{port}: Address already in use; set NOTIFICATIONS_HTTP_PORT"
    assert relay.output() == f"notifications: {told}\n"
