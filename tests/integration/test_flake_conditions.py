"""What `make flake` puts its runs into, seen by a process in it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from backing_services.plugin import not_available

from tools.flake import conditions
from tools.flake.__main__ import EXAMPLES
from tools.flake.conditions import JUMP, Condition, missing, surroundings

ROOT = Path(__file__).parents[2]

SEEN = """
import json, os, time
begun, by_the_wall = time.monotonic(), time.time()
time.sleep(0.01)
print(json.dumps({
    "cores": len(os.sched_getaffinity(0)),
    "ahead": by_the_wall - float(os.environ["NOW"]),
    "slept": time.monotonic() - begun,
}))
"""

ASKED = """
from hypothesis import settings

def test_it():
    now = settings()
    print("kept in", now.database.path, end=", ")
    print("the same examples" if now.derandomize else "examples of chance")
"""


def seen(condition: Condition, folder: Path) -> dict[str, float]:
    with surroundings(condition, folder) as around:
        done = subprocess.run(  # noqa: S603
            [*around.before, sys.executable, "-c", SEEN],
            env=os.environ | dict(around.variables) | {"NOW": str(time.time())},
            check=True,
            capture_output=True,
            text=True,
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def only_where_it_can_be_made(condition: Condition) -> None:
    if why := missing().get(condition):
        not_available("flake", why)


def test_the_clock_of_the_wall_jumps_and_the_one_of_time_outs_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_where_it_can_be_made(Condition.CLOCK)
    monkeypatch.setattr(conditions, "_by", lambda: -JUMP)

    process = seen(Condition.CLOCK, tmp_path)

    assert -JUMP <= process["ahead"] < -JUMP / 2
    assert 0.01 <= process["slept"] < JUMP / 2


@pytest.mark.parametrize("condition", [Condition.ONE_CORE, Condition.HALF])
def test_a_run_on_one_core_has_no_other(condition: Condition, tmp_path: Path) -> None:
    only_where_it_can_be_made(condition)

    assert seen(condition, tmp_path)["cores"] == 1


def test_what_takes_half_of_the_core_is_there_until_the_run_is_over(tmp_path: Path) -> None:
    only_where_it_can_be_made(Condition.HALF)

    before = set(psutil.Process().children())
    with surroundings(Condition.HALF, tmp_path) as around:
        [busy] = set(psutil.Process().children()) - before
        assert busy.cpu_affinity() == [int(around.before[-1])]

    assert not busy.is_running()


@pytest.mark.parametrize("ci", [{}, {"CI": "true"}], ids=["here", "in CI"])
def test_without_what_hypothesis_kept_its_folder_is_a_new_one(ci: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(ASKED)
    with surroundings(Condition.EMPTY, tmp_path) as around:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "pytest", "-qs", EXAMPLES, "-p", "conftest", str(tmp_path / "test_it.py")],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | dict(around.variables) | ci,
            check=True,
            capture_output=True,
            text=True,
        )

    assert f"kept in {tmp_path / 'hypothesis'}/examples, examples of chance" in done.stdout
