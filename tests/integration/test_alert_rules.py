"""The rules on a real promtool: they are rules, and ring when they should (deploy/observability/alerts_test.yml)."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

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


CONTENT = yaml.safe_load(TESTS.read_text())
LAST_REPEATED = re.compile(r"x\d+$")
"""A series' last value or step, and how often it is repeated."""
MINUTES_LONGER = 70
"""Longer than any rule looks back."""
LONGER = "x360"
"""For three hours, where there is a value each half minute."""


def with_another(tests: Sequence[Any], folder: Path, says: Callable[[Any], str]) -> Path:
    """A file of these tests again, with a second process whose values are given by the series of the first."""
    doubled = [
        {
            **each,
            "input_series": [
                *each["input_series"],
                *(
                    {"series": series["series"].replace('instance="', 'instance="another-'), "values": says(series)}
                    for series in each["input_series"]
                ),
            ],
        }
        for each in tests
    ]
    assert all("another-" in each["input_series"][-1]["series"] for each in doubled)
    return written(doubled, folder)


def written(tests: Sequence[Any], folder: Path) -> Path:
    """A file of these tests, about the rules as they are."""
    file = folder / "tests.yml"
    file.write_text(yaml.safe_dump({**CONTENT, "rule_files": [str(FILE)], "tests": tests}))
    return file


def test_a_fault_that_every_process_sees_rings_once_a_service(promtool: str, tmp_path: Path) -> None:
    """A process that is down is one each."""
    tests = [
        {**each, "promql_expr_test": [expected for expected in each["promql_expr_test"] if expected["exp_samples"]]}
        for each in CONTENT["tests"]
        if not each["name"].startswith("ServiceDown")
    ]

    done = run(promtool, "test", "rules", str(with_another(tests, tmp_path, itemgetter("values"))))

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fault_that_one_process_sees_rings_though_another_is_well(promtool: str, tmp_path: Path) -> None:
    """That one is up, reaches its database, and has nothing to do: no alarm rings, or fails to, because of it."""

    def well(series: Any) -> str:
        return "1x200" if series["series"].startswith(("up{", "database_up{")) else "0x200"

    done = run(promtool, "test", "rules", str(with_another(CONTENT["tests"], tmp_path, well)))

    assert done.returncode == 0, done.stdout + done.stderr


def goes_on(series: Any) -> bool:
    """Whether a series can be made longer as it was: not a counter that moves now and then."""
    is_counter = series["series"].partition("{")[0].endswith(("_total", "_bucket", "_count"))
    return bool(LAST_REPEATED.search(series["values"])) and not (is_counter and " " in series["values"])


def test_an_alarm_goes_on_for_as_long_as_its_fault(promtool: str, tmp_path: Path) -> None:
    """An hour later each that rang at the end rings still, and no other, if its figures go on as they did."""
    lasting = []
    for each in CONTENT["tests"]:
        last = each["promql_expr_test"][-1]
        if not last["exp_samples"] or not all(map(goes_on, each["input_series"])):
            continue
        longer = [{**one, "values": LAST_REPEATED.sub(LONGER, one["values"])} for one in each["input_series"]]
        late = {**last, "eval_time": f"{int(last['eval_time'].removesuffix('m')) + MINUTES_LONGER}m"}
        lasting.append({**each, "input_series": longer, "promql_expr_test": [late]})
    ringing = {sample["labels"] for each in lasting for sample in each["promql_expr_test"][0]["exp_samples"]}
    assert len(ringing) == len(yaml.safe_load(FILE.read_text())["groups"][0]["rules"])

    done = run(promtool, "test", "rules", str(written(lasting, tmp_path)))

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
