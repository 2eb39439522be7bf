"""Every loop that runs as long as its process: an outage doesn't end it, it pauses before it tries again, and says so.

A loop without a pause does nothing else meanwhile, and whatever comes back is met by all of them at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import asyncpg
import outboxed
import pytest
import structlog
from aiokafka.errors import KafkaConnectionError
from outboxed._compat.faststream import stop_and_wait
from outboxed._wakeups import Wakeup
from outboxed.consuming import BatchConsumer, ConsumerRole
from outboxed.consuming._kafka import _commit, _Failures
from outboxed.joining import _running as running
from outboxed.process import Metrics
from outboxed.process._announcements import Announcements
from outboxed.relay import Relay
from outboxed.settings import Database as DatabaseSettings
from outboxed.settings import KafkaSettings, parse_bootstrap_servers
from outboxed.storage import Clock, Pruner
from outboxed.tasks import TaskKind, Worker

from ..composed import composed
from ..sample import in_memory_accounts

SOURCES = Path(str(outboxed.__file__)).parent
LONG = 600.0
"""Seconds: a pause that doesn't end within a test."""
PATIENCE = 10.0
TURNS = 300
"""Of the event loop: far more than an attempt takes."""
URL = "postgresql+asyncpg://nobody@127.0.0.1:1/nowhere"

Attempt = Callable[..., Awaitable[Any]]
Loop = Callable[[Attempt, pytest.MonkeyPatch], Awaitable[None]]


def relay_trying(attempt: Attempt, patch: pytest.MonkeyPatch) -> Relay:
    relay = Relay(None, KafkaSettings(parse_bootstrap_servers("nowhere:9092")), Wakeup())  # type: ignore[arg-type]  # no pass begins
    patch.setattr(relay, "send_once", attempt)
    return relay


async def relay(attempt: Attempt, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("outboxed.relay._relay.OUTAGE_SECONDS", LONG)
    await relay_trying(attempt, patch).run(anyio.Event())


async def worker(attempt: Attempt, patch: pytest.MonkeyPatch) -> None:
    class Queue:
        claim = staticmethod(attempt)

    patch.setattr("outboxed.tasks._worker.OUTAGE_SECONDS", LONG)
    patch.setattr("outboxed._wakeups.POLL_SECONDS", 0)

    async def record(*_: object) -> None: ...

    queue: Any = Queue()
    await Worker([TaskKind[Any]("call", record)], queue, in_memory_accounts(), Wakeup()).run(anyio.Event())


async def consumer_that_starts(attempt: Attempt, patch: pytest.MonkeyPatch) -> None:
    class Broker:
        start = staticmethod(attempt)

        async def stop(self) -> None: ...

    for name in ("START_BACKOFF", "MAX_BACKOFF"):
        patch.setattr(f"outboxed.consuming._kafka.{name}", LONG)
    broker: Any = Broker()
    consumer: BatchConsumer[Any] = BatchConsumer("bank", (), in_memory_accounts(), Metrics(Clock()))
    await ConsumerRole(broker, broker, consumer)._start(anyio.Event())  # noqa: SLF001 - the whole role needs Kafka


async def consumer_that_handles(attempt: Attempt, patch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_BACKOFF", "MAX_BACKOFF"):
        patch.setattr(f"outboxed.consuming._kafka.{name}", LONG)
    failures = _Failures()
    while True:  # as the client offers the same batch again and again
        try:
            await attempt()
        except KafkaConnectionError as error:
            await failures.back_off("bank", error)


async def announcements(attempt: Attempt, patch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_BACKOFF", "LONGEST_BACKOFF"):
        patch.setattr(f"outboxed.process._announcements.{name}", LONG)
    patch.setattr(asyncpg, "connect", attempt)
    await Announcements(DatabaseSettings.parse(URL), {}, application_name="tests").run(anyio.Event())


async def roles_that_wait_for_the_database(attempt: Attempt, patch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_BACKOFF", "MAX_BACKOFF"):
        patch.setattr(f"outboxed.process._service.{name}", LONG)
    service = composed()
    patch.setattr(service, "_schema_problem", attempt)
    try:
        await service._wait_for_database(anyio.Event())  # noqa: SLF001 - before each role
    finally:
        await service.close()


async def pruner(attempt: Attempt, patch: pytest.MonkeyPatch) -> None:
    pruner = Pruner(None, Clock())  # type: ignore[arg-type]  # nothing is asked
    patch.setattr(pruner, "prune", attempt)
    await pruner.run(anyio.Event())


async def parts_beside_an_app(attempt: Attempt, patch: pytest.MonkeyPatch) -> None:
    class Part:
        run = staticmethod(attempt)

    patch.setattr(running, "AGAIN_SECONDS", LONG)
    part: Any = Part()
    await running._run(part, asyncio.Event(), "part_ended")  # noqa: SLF001 - within `in_background`


LOOPS: dict[str, tuple[Loop, ...]] = {
    "relay/_relay.py": (relay,),
    "tasks/_worker.py": (worker,),
    "consuming/_kafka.py": (consumer_that_starts, consumer_that_handles),
    "process/_announcements.py": (announcements,),
    "process/_service.py": (roles_that_wait_for_the_database,),
    "storage/_retention.py": (pruner,),
    "joining/_running.py": (parts_beside_an_app,),
}
"""By the file that they are in."""


def test_every_file_with_such_a_loop_is_known() -> None:
    files = {
        path.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("*.py")
        if " in turns_until(" in path.read_text() or "enumerate(turns_until(" in path.read_text()
    }

    assert files == LOOPS.keys(), "give each loop its line in LOOPS: how it is run with an attempt that fails"


@pytest.mark.parametrize("loop", [loop for loops in LOOPS.values() for loop in loops], ids=lambda loop: loop.__name__)
async def test_an_outage_ends_no_loop_which_pauses_before_its_next_attempt(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[None] = []

    async def fails(*_: object, **__: object) -> None:
        attempts.append(None)
        await asyncio.sleep(0)  # as whatever asks somebody: a loop without a pause must not hold up this test
        raise KafkaConnectionError("away") if loop in FOR_KAFKA else ConnectionRefusedError

    runs = asyncio.ensure_future(loop(fails, monkeypatch))
    for _ in range(TURNS):
        await asyncio.sleep(0)
    ended = runs.done()
    runs.cancel()
    await asyncio.wait([runs])

    assert (ended, len(attempts)) == (False, 1)


FOR_KAFKA = (consumer_that_starts, consumer_that_handles)


# --- what is said of an outage ---


async def test_a_relay_tells_of_the_second_outage_too(monkeypatch: pytest.MonkeyPatch) -> None:
    away = ConnectionRefusedError("away")
    outcomes: list[Exception | int] = [away, away, 1, away, away]
    stop = anyio.Event()

    async def send_once() -> int:
        outcome = outcomes.pop(0)
        if not outcomes:
            stop.set()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr("outboxed.relay._relay.OUTAGE_SECONDS", 0)
    monkeypatch.setattr("outboxed._wakeups.POLL_SECONDS", 0)
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(PATIENCE):
            await relay_trying(send_once, monkeypatch).run(stop)

    assert [line["event"] for line in logs] == ["relay_failed"] * 2


async def test_a_consumer_that_could_not_start_leaves_no_client_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a long outage each attempt would hold its files, until the process has none left."""
    for name in ("START_BACKOFF", "MAX_BACKOFF"):
        monkeypatch.setattr(f"outboxed.consuming._kafka.{name}", 0.001)
    done: list[str] = []

    class Broker:
        async def start(self) -> None:
            done.append("start")
            if done.count("start") < 4:
                raise KafkaConnectionError

        async def stop(self) -> None:
            done.append("stop")

    broker: Any = Broker()
    consumer: BatchConsumer[Any] = BatchConsumer("bank", (), in_memory_accounts(), Metrics(Clock()))
    await ConsumerRole(broker, broker, consumer)._start(anyio.Event())  # noqa: SLF001 - the whole role needs Kafka

    assert done == ["start", "stop"] * 3 + ["start"]


async def test_a_commit_of_offsets_that_gets_no_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its partition would be held for as long; the inbox absorbs what is read again."""
    monkeypatch.setattr("outboxed.consuming._kafka.COMMIT_SECONDS", 0.01)

    class Client:
        async def commit(self) -> None:
            await asyncio.Event().wait()

    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(PATIENCE):
            await _commit(Client())

    assert [line["event"] for line in logs] == ["offsets_not_committed"]


async def test_a_consumer_ends_after_the_batch_that_it_was_in() -> None:
    """Its transaction would else lose its connection: the pool is closed next."""
    go_on = asyncio.Event()

    class Parts:
        """The broker, which forgets the tasks that it cancels, and its subscriber."""

        tasks: list[asyncio.Task[Any]]

        async def stop(self) -> None:
            self.tasks.clear()

    parts: Any = Parts()
    parts.tasks = [asyncio.create_task(go_on.wait())]
    ending = asyncio.create_task(stop_and_wait(parts, parts))
    for _ in range(TURNS):
        await asyncio.sleep(0)

    assert not ending.done()
    go_on.set()
    async with asyncio.timeout(PATIENCE):
        await ending


@pytest.mark.parametrize("assigned", [True, False])
async def test_a_time_without_records_or_without_kafka_is_no_stall(
    assigned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first record after it would find a process that isn't live, and it would be restarted."""
    monkeypatch.setattr("outboxed.consuming._kafka.LAG_SECONDS", 0.01)

    class Client:
        def assignment(self) -> set[Any]:
            return {("orders", 0)} if assigned else set()

        async def topics(self) -> set[str]:
            return set()

        async def end_offsets(self, _: object) -> Any:
            raise KafkaConnectionError

    subscriber: Any = SimpleNamespace(consumer=Client())
    consumer: BatchConsumer[Any] = BatchConsumer("bank", (), in_memory_accounts(), Metrics(Clock()))
    consumer.progress.last_attempt = 0.0
    role = ConsumerRole(subscriber, subscriber, consumer)

    await role._measure_lag()  # noqa: SLF001 - the whole role needs Kafka

    assert role.lag == (None if assigned else 0)
    assert consumer.progress.last_attempt > 0


async def test_a_pruner_prunes_again_after_its_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outboxed.storage._retention.EVERY_SECONDS", 0)
    stop = asyncio.Event()
    outcomes: list[Exception | None] = [None, ConnectionRefusedError("away"), None]

    async def prune() -> int:
        outcome = outcomes.pop(0)
        if not outcomes:
            stop.set()
        if outcome is not None:
            raise outcome
        return 0

    pruner = Pruner(None, Clock())  # type: ignore[arg-type]  # nothing is asked
    monkeypatch.setattr(pruner, "prune", prune)
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(PATIENCE):
            await pruner.run(stop)

    assert outcomes == []
    assert [line["event"] for line in logs] == ["prune_failed"]


async def test_an_error_that_does_not_pass_ends_the_pruner(monkeypatch: pytest.MonkeyPatch) -> None:
    async def prune() -> int:
        raise LookupError("a bug")

    pruner = Pruner(None, Clock())  # type: ignore[arg-type]  # nothing is asked
    monkeypatch.setattr(pruner, "prune", prune)

    with pytest.raises(LookupError):
        await pruner.run(asyncio.Event())
