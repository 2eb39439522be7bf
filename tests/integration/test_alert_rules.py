"""The rules on a real promtool: they are rules, and ring when they should (deploy/observability/alerts_test.yml)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
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
