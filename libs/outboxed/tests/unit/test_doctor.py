"""What the doctor makes of what it has seen of Kafka and of the process beside it."""

from typing import Any

import pytest
from outboxed.process._doctor._kafka import _judged, _State, _unusable
from outboxed.process._doctor._process import process_findings

from ..composed import Settings, composed


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
