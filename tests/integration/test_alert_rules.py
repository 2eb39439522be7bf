"""The rules on a real promtool: they are rules, and ring when they should (deploy/observability/alerts_test.yml)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from backing_services.plugin import not_available
from shop_harness.services import ROOT

from tools.alarms.description import Scale
from tools.alarms.files import FILE, write_rules
from tools.alarms.programs import ProgramMissingError, program

TESTS = FILE.with_name("alerts_test.yml")


@pytest.fixture
def promtool() -> str:
    try:
        return program("promtool")
    except ProgramMissingError as error:
        not_available("prometheus", str(error))


def run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    everything = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=everything)  # noqa: S603 - ours


def test_each_alarm_rings_for_its_figures_and_for_no_others(promtool: str) -> None:
    done = run(promtool, "test", "rules", str(TESTS))

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fault_that_every_process_sees_rings_once_a_service(promtool: str, tmp_path: Path) -> None:
    """Each test of promtool's again, with a second process that says the same; a process that is down is one each."""
    content = yaml.safe_load(TESTS.read_text())
    tests = [each for each in content["tests"] if not each["name"].startswith("ServiceDown")]
    for each in tests:
        each["promql_expr_test"] = [expected for expected in each["promql_expr_test"] if expected["exp_samples"]]
        each["input_series"] += [
            {**series, "series": series["series"].replace('instance="', 'instance="another-')}
            for series in each["input_series"]
        ]
    assert all("another-" in each["input_series"][-1]["series"] for each in tests)
    doubled = tmp_path / "doubled.yml"
    doubled.write_text(yaml.safe_dump({**content, "rule_files": [str(FILE)], "tests": tests}))

    done = run(promtool, "test", "rules", str(doubled))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("factor", [1, 1 / 30])
def test_the_rules_are_rules_at_either_scale(promtool: str, tmp_path: Path, factor: float) -> None:
    write_rules(tmp_path / "alerts.yml", Scale(factor))

    done = run(promtool, "check", "rules", str(tmp_path / "alerts.yml"))

    assert done.returncode == 0, done.stdout + done.stderr


def test_without_prometheus_make_alarms_is_one_line() -> None:
    done = run(sys.executable, "-m", "tools.alarms", PATH="/nowhere")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "alarms: no prometheus here: `apt-get install prometheus`\n"


def test_a_fault_that_nobody_knows_is_one_line() -> None:
    done = run(sys.executable, "-m", "tools.alarms", "--only", "an earthquake")

    assert (done.returncode, done.stderr) == (2, "alarms: no fault's name has 'an earthquake'\n")
