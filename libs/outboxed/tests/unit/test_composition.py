"""What a service's parts are given when they are put together: each is used, and none is forgotten."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
import sqlalchemy as sa
import structlog
from outboxed.consuming import ConsumerRole, Route
from outboxed.errors import ConfigurationError
from outboxed.process import CommandLine, Figure, RoleName, Service, Timing
from outboxed.storage import MIGRATION_SECONDS, Retention
from outboxed.tasks import TaskKind
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from ..composed import Settings, composed
from ..sample import MoneyMoved, accounts, credit

RICH = Figure("accounts_rich", "Accounts over 100", lambda _: sa.select(sa.literal(3)))
OPENING: Timing[Any] = Timing(
    "account_opening_seconds", "From an account's request to its opening", "outcome", lambda _: ()
)
FORGOTTEN = Retention(accounts, "closed_at", timedelta(days=1))


async def record(*_: object) -> None:
    pass


@dataclass
class Closed:
    """What a service closes at its end."""

    times: int = 0

    async def close(self) -> None:
        self.times += 1


@pytest.fixture
def closed() -> Closed:
    return Closed()


@pytest.fixture
async def service(closed: Closed) -> AsyncIterator[Service[Any]]:
    service = composed(
        routes=[Route(MoneyMoved, credit)],
        tasks=[TaskKind("call", record=record, limit=timedelta(seconds=17))],
        figures=[RICH],
        timings=[OPENING],
        retentions=[FORGOTTEN],
        closed=closed.close,
    )
    yield service
    await service.close()


@pytest.fixture
def consumer_role(service: Service[Any]) -> ConsumerRole:
    assert service.subscriber is not None
    return ConsumerRole(service.broker, service.subscriber, service.consumer)


# --- roles ---

BESIDE_ALL = {"announcements"}
"""In each process, whatever its role."""
RUN_BY: dict[RoleName, set[str]] = {
    "all": {"consumer", "relay", "worker", "pruner"},
    "api": {"database"},
    "consumer": {"consumer"},
    "relay": {"relay"},
    "worker": {"worker", "pruner"},
}


@pytest.mark.parametrize("role", RUN_BY)
def test_a_process_runs_the_parts_of_its_role_and_no_others(
    service: Service[Any], consumer_role: ConsumerRole, role: RoleName
) -> None:
    consumer = consumer_role if role in {"all", "consumer"} else None

    parts = [part.name for part in service.background_roles(role, consumer)]

    assert sorted(parts) == sorted(RUN_BY[role] | BESIDE_ALL)


def test_a_part_that_knows_how_long_it_needs_has_that_time_to_end(
    service: Service[Any], consumer_role: ConsumerRole
) -> None:
    given = {part.name: part.grace for part in service.background_roles("all", consumer_role)}

    assert service.worker.grace > 17, "a call that runs may end"
    known: dict[str, Any] = {"worker": service.worker, "relay": service.relay, "consumer": consumer_role}
    assert {name: given[name] for name in known} == {name: part.grace for name, part in known.items()}


def test_the_pruner_is_given_the_services_own_tables(service: Service[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    class Recorder:
        def __init__(self, _: object, __: object, retentions: Any) -> None:
            given.extend(retentions)

        async def run(self, _: object) -> None: ...

    monkeypatch.setattr("outboxed.process._service.Pruner", Recorder)

    service.background_roles("worker", None)

    assert given == [FORGOTTEN]


# --- metrics ---


def test_each_part_counts_in_the_metrics_that_the_process_tells(service: Service[Any]) -> None:
    parts = (service.consumer, service.worker, service.relay, service.relay._outcomes)  # noqa: SLF001 - no other way to see it
    commits = [transactions.committed for transactions in (service.transactions, service.api_transactions)]

    assert {type(part).__name__ for part in parts if part._metrics is not service.metrics} == set()  # noqa: SLF001
    assert commits == [service.metrics.committed] * 2


def test_a_services_own_figures_and_timings_are_told(service: Service[Any]) -> None:
    told = {family.name for family in service.metrics.registry.collect()}

    assert {RICH.name, OPENING.name} <= told
    assert [query for _, query in service.metrics._queries] == [RICH.query]  # noqa: SLF001 - asked at each scrape
    assert [timing for timing, _ in service.metrics._timings] == [OPENING]  # noqa: SLF001 - observed at each commit


async def test_requests_and_the_lag_of_a_process_are_told(service: Service[Any]) -> None:
    role: Any = SimpleNamespace(lag=7)

    transport = httpx.ASGITransport(service.create_app(consumer_role=role))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        await client.get("/nowhere")

    value = service.metrics.registry.get_sample_value
    assert value("http_requests_total", {"method": "other", "route": "other", "status": "404"}) == 1
    assert value("consumer_lag") == 7


# --- health ---


@pytest.mark.parametrize(("halted", "path"), [("a bad deploy", "/health/ready"), (None, "/health/live")])
async def test_health_looks_at_the_consumer_of_its_process(
    service: Service[Any], halted: str | None, path: str
) -> None:
    role: Any = SimpleNamespace(lag=7)
    service.consumer.progress.halted = halted
    service.consumer.progress.last_attempt = time.monotonic() - 3600

    transport = httpx.ASGITransport(service.create_app(consumer_role=role))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        answer = await client.get(path)

    assert (answer.status_code, (halted or "7 records wait") in answer.json()["reason"]) == (503, True)


async def test_all_parts_of_a_process_tell_of_one_contact_with_kafka(
    service: Service[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readiness asks it: a part with one of its own is away without a word."""
    roles: list[ConsumerRole] = []

    class Remembered(ConsumerRole):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            roles.append(self)

    async def run_roles(_: object) -> int:
        return 0

    monkeypatch.setattr("outboxed.process._service.ConsumerRole", Remembered)
    monkeypatch.setattr("outboxed.process._service.run_roles", run_roles)
    monkeypatch.setattr("outboxed.process._service.leave_to_itself_what_stays", lambda: None)
    listener = SimpleNamespace(getsockname=lambda: ("127.0.0.1", 1))
    monkeypatch.setattr("outboxed.process._service.bind", lambda *_, **__: listener)

    await service.run("all")

    contacts = [*(role.contact for role in roles), service.relay._contact, service.relay._outcomes._contact]  # noqa: SLF001
    assert [contact is service.kafka_contact for contact in contacts] == [True] * 3


# --- an outage ---


async def test_a_process_tells_each_problem_of_its_database_once(
    service: Service[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all its roles one does, and not at each attempt: an outage would else be thousands of lines."""
    for name in ("FIRST_BACKOFF", "MAX_BACKOFF"):
        monkeypatch.setattr(f"outboxed.process._service.{name}", 0)
    problems = iter(["it does not answer"] * 5 + ["it is of the release before"] * 5)
    ready: list[str] = []

    async def next_problem() -> str | None:
        return next(problems, None)

    async def run(role: str, _: anyio.Event) -> None:
        ready.append(role)

    monkeypatch.setattr(service, "_schema_problem", next_problem)
    roles = [service._when_database_is_ready(partial(run, role)) for role in ("relay", "worker")]  # noqa: SLF001 - whole ones need Kafka
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(10):
            await asyncio.gather(*(role(anyio.Event()) for role in roles))

    assert sorted(ready) == ["relay", "worker"]
    assert [line["event"] for line in logs] == ["waiting_for_database"] * 2
    assert [line["reason"] for line in logs] == ["it does not answer", "it is of the release before"]


# --- the command ---


@dataclass
class Ran:
    """In place of a service: its roles end with `status`, or raise."""

    status: int | Exception
    roles: list[str] = field(default_factory=list)
    closed: int = 0

    async def run(self, role: str) -> int:
        self.roles.append(role)
        if isinstance(self.status, Exception):
            raise self.status
        return self.status

    async def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("arguments", [["--role", "relay"], ["run", "--role", "relay"]], ids=" ".join)
@pytest.mark.parametrize(("status", "expected"), [(0, 0), (1, 1), (ConfigurationError("no port"), 1)])
def test_a_process_ends_with_the_status_of_its_role_and_closes_its_service(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int | Exception, expected: int
) -> None:
    monkeypatch.setattr("outboxed.process._cli.configure_logs", lambda **_: None)
    ran: Any = Ran(status)

    ended = CliRunner().invoke(CommandLine("bank", Settings, lambda _: ran).typer, arguments)

    assert (ended.exit_code, ran.roles, ran.closed) == (expected, ["relay"], 1)


# --- the end, and the schema ---


async def test_at_its_end_a_service_closes_its_own_and_both_pools(
    service: Service[Any], closed: Closed, monkeypatch: pytest.MonkeyPatch
) -> None:
    disposed: list[AsyncEngine] = []

    async def dispose(engine: AsyncEngine) -> None:
        disposed.append(engine)

    monkeypatch.setattr(AsyncEngine, "dispose", dispose)

    await service.close()

    assert closed.times == 1
    pools = (service.transactions.engine, service.api_transactions.engine)
    assert {id(pool) for pool in pools} == {id(engine) for engine in disposed}


async def test_a_pool_that_does_not_close_holds_up_no_end(
    service: Service[Any], closed: Closed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a database that is frozen."""

    async def dispose(_: AsyncEngine) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(AsyncEngine, "dispose", dispose)
    monkeypatch.setattr("outboxed.process._service.CLOSE_SECONDS", 0.01)

    async with asyncio.timeout(10):
        await service.close()

    assert closed.times == 1


@dataclass
class Migrations:
    """In place of an engine and of alembic."""

    limits: list[float] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    def create_engine(self, *_: object, command_timeout: float = 0.0, **__: object) -> "Migrations":
        self.limits.append(command_timeout)
        return self

    async def migrate(self, _: object, package: str) -> None:
        self.ran.append(package)

    async def dispose(self) -> None:
        pass


async def test_a_migration_has_the_time_to_rewrite_a_table(
    service: Service[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations = Migrations()
    monkeypatch.setattr("outboxed.process._service.create_engine", migrations.create_engine)
    monkeypatch.setattr("outboxed.process._service.migrate", migrations.migrate)

    await service.migrate()

    assert (migrations.ran, migrations.limits) == ([service.name], [MIGRATION_SECONDS])
