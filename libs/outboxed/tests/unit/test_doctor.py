"""What the doctor looks at, and what it makes of what it has seen of Kafka, the database and the process beside it."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from outboxed.consuming import Route
from outboxed.process import Finding, Service
from outboxed.process._doctor import _kafka as doctor_of_kafka
from outboxed.process._doctor._database import _unreachable
from outboxed.process._doctor._findings import looked_at
from outboxed.process._doctor._kafka import _judged, _State, _unusable, kafka_findings
from outboxed.process._doctor._process import process_findings
from pydantic_settings import SettingsConfigDict
from sqlalchemy.exc import OperationalError

from ..composed import Settings, composed
from ..sample import AccountCredited, MoneyMoved, credit


class Own(Settings):
    """With a prefix of the service's own, as all services have one."""

    model_config = SettingsConfigDict(env_prefix="BANK_")


@pytest.mark.parametrize(
    ("state", "unread", "is_stuck", "verdict"),
    [
        (_State("Stable", 2), 0, False, "ok"),
        (_State("Stable", 2), 7, False, "ok"),
        (_State("Stable", 2), 7, True, "warning"),
        (_State("Empty"), 0, False, "warning"),
        (_State("Empty"), 7, False, "failed"),
        (_State("Dead"), 7, True, "failed"),
        (_State(None), 0, False, "ok"),
    ],
)
async def test_records_that_wait_are_judged_by_whether_anybody_reads_and_gets_on(
    state: _State, unread: int, is_stuck: bool, verdict: str
) -> None:
    service = composed()

    finding = _judged(service, state, unread, is_stuck=is_stuck)
    await service.close()

    assert (finding.verdict, bool(finding.do)) == (verdict, verdict != "ok")
    assert f"{unread} records wait" in finding.found
    if state.name in {"Empty", "Dead"}:
        assert finding.do.startswith("start a process with the role consumer")


def _topic(*, error: int = 0, leaders: tuple[int, ...] = (1, 1)) -> dict[str, Any]:
    partitions = [{"partition": number, "leader": leader} for number, leader in enumerate(leaders)]
    return {"error_code": error, "partitions": partitions}


def test_a_topic_that_is_missing_refused_or_without_a_leader_is_named() -> None:
    found = {"well": _topic(), "refused": _topic(error=29), "led by nobody": _topic(leaders=(1, -1, 0))}

    bad = _unusable(["missing", *found], found)

    assert bad == [
        "missing isn't there",
        "refused: TopicAuthorizationFailedError",
        "led by nobody has no leader for its partitions 1",
    ]


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (None, "ok"),
        ("http://127.0.0.1:8000/health/ready doesn't answer", "warning"),
        ("503: the consumer has halted", "failed"),
    ],
)
async def test_a_process_that_is_not_ready_fails_and_one_that_is_not_there_may_run_elsewhere(
    monkeypatch: pytest.MonkeyPatch, said: str | None, verdict: str
) -> None:
    monkeypatch.setattr("outboxed.process._doctor._process.problem", lambda _: said)
    service = composed(Settings(http_host="127.0.0.1"))

    [finding] = await process_findings(service)
    await service.close()

    assert (finding.verdict, bool(finding.do)) == (verdict, verdict != "ok")


async def test_a_process_at_an_address_of_ipv6_is_asked_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("outboxed.process._doctor._process.problem", asked.append)
    service = composed(Settings(http_host="::1", http_port=8000))

    [finding] = await process_findings(service)
    await service.close()

    assert asked == ["http://[::1]:8000/health/ready"]
    assert finding.verdict == "ok"


@pytest.mark.parametrize(
    ("error", "do"),
    [
        (OSError("no route"), "start the database, or put BANK_DATABASE_URL right; is its host reachable?"),
        (asyncpg.InvalidPasswordError("wrong"), "put BANK_DATABASE_URL right"),
    ],
)
async def test_a_database_that_is_away_and_one_that_refuses_need_different_things(error: Exception, do: str) -> None:
    service = composed(Own())

    finding = _unreachable(service, error)
    await service.close()

    assert (finding.verdict, finding.do) == ("failed", do)


# --- Kafka ---

BEGINS, ENDS = 100, 107


class Cluster:
    """The clients of a Kafka: `topics` are there, and records from BEGINS to ENDS in each partition."""

    def __init__(self, *topics: str, committed: int | None = None, error: Exception | None = None) -> None:
        self.topics, self.commits, self.error = topics, committed, error

    def __call__(self, **_: object) -> "Cluster":
        return self

    async def start(self) -> None:
        if self.error is not None:
            raise self.error

    async def close(self) -> None: ...
    async def stop(self) -> None: ...

    async def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": [1]}

    async def describe_topics(self) -> list[dict[str, Any]]:
        return [{"topic": name, **_topic(leaders=(1,))} for name in self.topics]

    async def describe_configs(self, _: object) -> list[Any]:
        return []

    async def describe_consumer_groups(self, _: object) -> list[Any]:
        return [SimpleNamespace(groups=[(0, "bank", "Empty", "", "", [])])]

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, BEGINS)

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, ENDS)

    async def committed(self, _: object) -> int | None:
        return self.commits


async def found(monkeypatch: pytest.MonkeyPatch, cluster: Cluster, **settings: Any) -> dict[str, Finding]:
    """What the doctor finds of a Kafka, for a service that reads one topic and publishes to another."""
    monkeypatch.setattr(doctor_of_kafka, "AIOKafkaAdminClient", cluster)
    monkeypatch.setattr(doctor_of_kafka, "AIOKafkaConsumer", cluster)
    service: Service[Any] = composed(Own(**settings), routes=(Route(MoneyMoved, credit),))
    findings = await kafka_findings(service)
    await service.close()
    return {finding.about: finding for finding in findings}


@pytest.mark.parametrize(("committed", "waiting"), [(None, ENDS - BEGINS), (105, 2), (ENDS, 0), (7, 100)])
async def test_what_nobody_has_committed_waits_and_what_is_no_longer_there_does_not(
    monkeypatch: pytest.MonkeyPatch, committed: int | None, waiting: int
) -> None:
    cluster = Cluster(MoneyMoved.topic, AccountCredited.topic, committed=committed)

    assert f"; {waiting} records wait" in (await found(monkeypatch, cluster))["consumer group"].found


@pytest.mark.parametrize("missing", [MoneyMoved.topic, AccountCredited.topic])
async def test_a_topic_that_is_read_or_published_to_has_to_be_there(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    there = {MoneyMoved.topic, AccountCredited.topic} - {missing}

    topics = (await found(monkeypatch, Cluster(*there)))["topics"]

    assert (topics.verdict, topics.found) == ("failed", f"{missing} isn't there")


async def test_on_a_shared_cluster_the_topics_are_those_with_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(f"bank-{MoneyMoved.topic}", f"bank-{AccountCredited.topic}")

    findings = await found(monkeypatch, cluster, kafka_topic_prefix="bank-")

    assert findings["topics"].verdict == "ok"
    assert f"; {ENDS - BEGINS} records wait" in findings["consumer group"].found


@pytest.mark.parametrize(
    ("listens", "do"),
    [
        (set(), "start Kafka, or put BANK_KAFKA_BOOTSTRAP_SERVERS right"),
        ({"one:9092"}, "put BANK_KAFKA_SECURITY_PROTOCOL, BANK_KAFKA_SASL_USERNAME"),
        ({"two:9092"}, "put BANK_KAFKA_SECURITY_PROTOCOL, BANK_KAFKA_SASL_USERNAME"),
    ],
)
async def test_where_any_broker_listens_the_way_in_is_wrong_and_not_the_address(
    monkeypatch: pytest.MonkeyPatch, listens: set[str], do: str
) -> None:
    async def answers(server: str) -> bool:
        return server in listens

    monkeypatch.setattr(doctor_of_kafka, "_listens", answers)
    cluster = Cluster(error=KafkaConnectionError())

    kafka = (await found(monkeypatch, cluster, kafka_bootstrap_servers="one:9092,two:9092"))["Kafka"]

    assert kafka.verdict == "failed"
    assert kafka.do.startswith(do)


async def test_an_address_that_says_nothing_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_connection", never)
    monkeypatch.setattr(doctor_of_kafka, "REQUEST_MS", 20)

    async with asyncio.timeout(10):
        kafka = (await found(monkeypatch, Cluster(error=KafkaConnectionError())))["Kafka"]

    assert kafka.do.startswith("start Kafka")


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (OperationalError("select 1", {}, RuntimeError("the server\nis going down")), "the server is going down"),
        (LookupError(), "LookupError"),
    ],
)
async def test_what_keeps_a_look_from_its_answer_is_told_in_one_line(error: Exception, found: str) -> None:
    async def look() -> Finding:
        raise error

    assert await looked_at("database", look, do="start it") == Finding("database", "failed", found, "start it")
