"""The flake command's judgement, from reports as pytest writes them."""

from pathlib import Path

from tools.flake.__main__ import Failure, Outcome, planned, read

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


def test_runs_take_turns_in_one_process_and_in_parallel_with_seeds_that_are_fixed_and_new() -> None:
    runs = list(planned(8))

    assert [run.parallel for run in runs] == [False, True] * 4
    assert [run.seed for run in runs][:2] == [0, 1]
    assert [run.seed for run in runs][4:6] == [4, 5]
