"""The dashboards' queries on a real promtool, and `make dashboards-check` where Prometheus is missing."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from backing_services.plugin import not_available
from shop_harness.services import ROOT

from tools.alarms.programs import ProgramMissingError, program
from tools.dashboards.asking import filled
from tools.dashboards.description import DASHBOARDS, OVERVIEW

GAUGE = re.compile(r"(?:sum|max|min) by \(job\) \((?!up\{)(\w+)\{")
"""A figure of the processes themselves: `up` is Prometheus' own, and always known."""


@pytest.fixture
def promtool() -> str:
    try:
        return program("promtool")
    except ProgramMissingError as error:
        not_available("prometheus", str(error))


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - Prometheus' own


def asked(
    promtool: str, folder: Path, series: Sequence[Any], expected: Sequence[Any]
) -> "subprocess.CompletedProcess[str]":
    """What promtool says of queries about these series."""
    tests = [{"interval": "30s", "input_series": series, "promql_expr_test": expected}]
    (folder / "tests.yml").write_text(json.dumps({"tests": tests}))
    return run(promtool, "test", "rules", str(folder / "tests.yml"))


def test_every_query_is_one_that_prometheus_can_read(promtool: str, tmp_path: Path) -> None:
    queries = [filled(query) for each in DASHBOARDS for panel in each.panels for query in panel.queries.values()]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    done = run(promtool, "check", "rules", str(tmp_path / "rules.yml"))

    assert done.returncode == 0, done.stdout + done.stderr


KNOWN = {"orders": 7, "payments": 0}
"""What the process of a service says whose figures are known; another one of each says NaN."""


def test_a_figure_that_one_process_does_not_know_hides_not_what_the_others_say(promtool: str, tmp_path: Path) -> None:
    """By the panels of the shop that put a service's processes together: a sum with NaN is NaN."""
    gauges = [query for panel in OVERVIEW.panels for query in panel.queries.values() if GAUGE.match(query)]
    series = [
        {"series": f'{metric}{{job="{job}", instance="{instance}"}}', "values": str(value)}
        for metric in {GAUGE.findall(query)[0] for query in gauges}
        for job, known in KNOWN.items()
        for instance, value in (("a", known), ("b", "NaN"))
    ]
    expected = [
        {
            "expr": query,
            "eval_time": "0",
            "exp_samples": [{"labels": f'{{job="{job}"}}', "value": KNOWN[job]} for job in KNOWN],
        }
        for query in gauges
    ]

    done = asked(promtool, tmp_path, series, expected)

    assert gauges
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_process_that_does_not_answer_is_not_among_those_that_do(promtool: str, tmp_path: Path) -> None:
    [query] = [query for panel in OVERVIEW.panels for query in panel.queries.values() if "(up{" in query]
    series = [
        {"series": f'up{{job="orders", instance="{number}"}}', "values": answers}
        for number, answers in enumerate("110")
    ]
    expected = {"expr": query, "eval_time": "0", "exp_samples": [{"labels": '{job="orders"}', "value": 2}]}

    done = asked(promtool, tmp_path, series, [expected])

    assert done.returncode == 0, done.stdout + done.stderr


def test_without_prometheus_make_dashboards_check_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.dashboards", "--check"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PATH": "/nowhere"},
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dashboards: no prometheus here: `apt-get install prometheus`\n"
