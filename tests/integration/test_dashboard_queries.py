"""The dashboards' queries on a real promtool, and `make dashboards-check` where Prometheus is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

from backing_services.plugin import not_available
from shop_harness.services import ROOT

from tools.alarms.programs import ProgramMissingError, program
from tools.dashboards.asking import filled
from tools.dashboards.description import DASHBOARDS


def test_every_query_is_one_that_prometheus_can_read(tmp_path: Path) -> None:
    try:
        promtool = program("promtool")
    except ProgramMissingError as error:
        not_available("prometheus", str(error))
    queries = [filled(query) for each in DASHBOARDS for panel in each.panels for query in panel.queries.values()]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    done = subprocess.run(  # noqa: S603 - Prometheus' own
        [promtool, "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True, check=False
    )

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
