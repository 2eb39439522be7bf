"""The flake command's judgement, from reports as pytest writes them."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from tools.flake import __main__ as command
from tools.flake import conditions
from tools.flake.__main__ import Failure, Outcome, Run, bound, performed, planned, read, selected, until
from tools.flake.conditions import Condition, missing

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4">
<testcase classname="tests.test_a" name="test_passes" time="0.1" />
<testcase classname="tests.test_a" name="test_fails"><failure message="1 != 2&#10;more">text</failure></testcase>
<testcase classname="tests.test_a" name="test_has_no_fixture"><error message="no fixture">text</error></testcase>
<testcase classname="tests.test_a" name="test_can_not_run_here"><skipped message="no Kafka">text</skipped></testcase>
</testsuite></testsuites>
"""


def test_failures_and_errors_count_and_what_was_skipped_did_not_run(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)

    assert read(report) == Outcome(
        3, [Failure("tests.test_a::test_fails", "1 != 2"), Failure("tests.test_a::test_has_no_fixture", "no fixture")]
    )


def test_each_condition_has_its_turn_once_with_a_fixed_seed_and_once_with_any() -> None:
    runs = list(islice(planned([Condition.ALONE, Condition.PARALLEL]), 8))

    assert [run.condition for run in runs] == [Condition.ALONE, Condition.PARALLEL] * 4
    assert [run.seed for run in runs][:2] == [0, 1]
    assert [run.seed for run in runs][4:6] == [4, 5]


def test_no_run_begins_when_there_were_enough() -> None:
    ran: list[Run] = []
    ran.extend(until(lambda: len(ran) >= 3, planned([Condition.ALONE])))

    assert len(ran) == 3


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_run_is_performed_once_and_no_more_of_them_are_begun_than_jobs(
    jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "perform", lambda run, _: Outcome(run.seed, []))
    begun: list[Run] = []

    def runs() -> Iterator[Run]:
        for seed in range(10):
            begun.append(Run(seed, Condition.ALONE))
            yield begun[-1]

    ended = []
    for run, outcome, _ in performed(runs(), (), jobs):
        ended.append(run)
        assert outcome.executions == run.seed
        assert len(begun) < len(ended) + jobs

    assert sorted(run.seed for run in ended) == list(range(10))


def test_levels_are_marked_together_and_what_needs_docker_is_in_none() -> None:
    assert selected(["unit", "model"]) == "(unit or model) and not e2e and not real_kafka"


def test_the_bound_of_a_million_is_three_in_it() -> None:
    assert bound(1_000_000) == "; fewer than 1 in 333333 fails, at 95 % confidence"


def test_a_condition_that_can_not_be_made_is_named_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(conditions, "_clock_can_jump", lambda: False)

    assert set(missing()) == {Condition.ONE_CORE, Condition.HALF, Condition.CLOCK}
    assert missing()[Condition.HALF] == "there is no taskset (of util-linux)"
