"""Live: handling makes progress. Ready: the database answers, its schema is new enough, nothing has halted."""

from typing import Any

import pytest
from asyncpg import InsufficientPrivilegeError, InterfaceError
from outboxed._contact import KafkaContact
from outboxed.consuming import Progress
from outboxed.healthcheck import TIMEOUT_SECONDS
from outboxed.web import Health
from outboxed.web._health import KAFKA_SECONDS, STALLED_SECONDS, HealthStatus
from sqlalchemy.exc import ArgumentError


async def no_problem() -> None:
    return None


def health(*, idle: float = 0.0, lag: int | None = 0, halted: str | None = None, **parts: Any) -> Health:
    progress = Progress(last_attempt=100.0, halted=halted)
    known = {"schema_problem": no_problem, "progress": progress, "lag": lambda: lag, "clock": lambda: 100.0 + idle}
    return Health(**{**known, **parts})


@pytest.mark.parametrize(
    ("idle", "lag", "live"),
    [
        (STALLED_SECONDS + 1, 5, False),
        (STALLED_SECONDS - 1, 5, True),
        (STALLED_SECONDS + 1, 0, True),
        (STALLED_SECONDS + 1, None, True),  # Kafka doesn't answer: a restart would not bring it back
    ],
)
def test_a_process_is_not_live_when_records_wait_and_nothing_is_attempted(
    idle: float, lag: int | None, live: bool
) -> None:
    assert health(idle=idle, lag=lag).live().ok is live


def test_a_stalled_process_says_why() -> None:
    assert health(idle=42, lag=5).live().reason == "5 records wait, and none was attempted for 42 s"


def test_a_halted_consumer_is_live_so_that_nobody_restarts_it_and_not_ready() -> None:
    assert health(idle=100, lag=5, halted="a bad deploy").live().ok


async def test_a_halted_consumer_is_not_ready() -> None:
    verdict = await health(halted="a bad deploy").ready()

    assert (verdict.ok, verdict.reason) == (False, "the consumer halted: a bad deploy")


@pytest.mark.parametrize(
    ("lost_for", "verdict"),
    [
        (0.0, HealthStatus(ok=True)),
        (KAFKA_SECONDS - 1, HealthStatus(ok=True)),
        (KAFKA_SECONDS + 12, HealthStatus(ok=False, reason="Kafka has not answered for 42 s")),
    ],
)
async def test_a_process_that_kafka_does_not_answer_is_not_ready_after_half_a_minute_and_never_dead(
    lost_for: float, verdict: HealthStatus
) -> None:
    of_a_process = health(kafka_lost_for=lambda: lost_for, lag=None, idle=1000)

    assert await of_a_process.ready() == verdict
    assert of_a_process.live().ok


async def test_a_database_that_is_away_is_told_before_kafka() -> None:
    async def away() -> None:
        raise ConnectionRefusedError

    verdict = await health(kafka_lost_for=lambda: 1000.0, schema_problem=away).ready()

    assert verdict.reason == "the database does not answer"


def test_contact_with_kafka_is_lost_since_the_first_part_that_gets_no_answer() -> None:
    now = 100.0
    contact = KafkaContact(clock=lambda: now)

    contact.failed("relay")
    now = 110.0
    contact.failed("consumer")
    contact.failed("relay")
    now = 115.0
    assert contact.lost_for() == 15

    contact.answered("relay")
    assert contact.lost_for() == 5
    contact.answered("consumer")
    assert contact.lost_for() == 0


def test_a_process_without_a_consumer_is_live() -> None:
    assert Health(schema_problem=no_problem).live().ok


async def test_an_old_schema_is_not_ready_and_says_what_to_do() -> None:
    async def old() -> str:
        return "run `python -m orders migrate`"

    verdict = await health(schema_problem=old).ready()

    assert (verdict.ok, verdict.reason) == (False, "run `python -m orders migrate`")


async def test_a_database_that_is_away_makes_a_process_unready_and_never_dead() -> None:
    async def away() -> None:
        raise ConnectionRefusedError

    away_from_all = health(schema_problem=away, lag=None, idle=1000)

    assert not (await away_from_all.ready()).ok
    assert away_from_all.live().ok


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(), "the database does not answer"),
        (TimeoutError(), "the database does not answer"),
        (ArgumentError("no such driver"), "the database refuses: ArgumentError"),
        (InterfaceError("connection is closed"), "the database does not answer"),
        (InsufficientPrivilegeError("a secret"), "the database refuses: InsufficientPrivilegeError"),
    ],
)
async def test_a_process_that_is_not_ready_says_whether_the_database_is_away_or_refuses(
    error: Exception, reason: str
) -> None:
    async def asked() -> None:
        raise error

    assert await health(schema_problem=asked).ready() == HealthStatus(ok=False, reason=reason)


async def test_a_process_that_is_ready_gives_no_reason() -> None:
    assert await health().ready() == HealthStatus(ok=True, reason="")


@pytest.mark.parametrize("unknown", ["progress", "lag"])
def test_a_process_that_knows_no_progress_or_no_lag_is_live(unknown: str) -> None:
    knows: dict[str, Any] = {"schema_problem": no_problem, "progress": Progress(last_attempt=0.0), "lag": lambda: 5}

    assert Health(**{**knows, unknown: None}, clock=lambda: 1000.0).live().ok


def test_a_process_has_exactly_the_time_until_it_counts_as_stalled() -> None:
    assert health(idle=STALLED_SECONDS, lag=5).live().ok


@pytest.mark.parametrize(("seconds", "ready"), [(STALLED_SECONDS, True), (STALLED_SECONDS + 1, False)])
async def test_a_consumer_whose_records_come_again_and_again_is_not_ready_and_is_live(
    seconds: float, ready: bool
) -> None:
    process = health(lag=5, idle=0)
    assert process.progress is not None
    process.progress.failing_since, process.progress.failure = 100.0 - seconds, "UndefinedColumnError"

    verdict = await process.ready()

    assert verdict.ok is ready
    why = "for 31 s the consumer has been trying the same records: UndefinedColumnError"
    assert verdict.reason == ("" if ready else why)
    assert process.live().ok


def test_a_check_says_what_is_wrong_before_docker_ends_it() -> None:
    assert TIMEOUT_SECONDS < 5, "the time-out of a container's check, by our Dockerfiles and most people's"
