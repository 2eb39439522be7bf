"""In which order tests are asked whether they see a change of SQL: those that run its function first."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tools.scratch import ROOT
from tools.sql_mutation.reach import FIRST_SECONDS, Reach

SOURCE = """
OUTSIDE = 1

def first():
    return 2

class A:
    async def second(
        self,
    ):
        def inner():
            return 3

        return inner()
"""
FIRST, INNER, SECOND = 5, 12, 14


def _reach(lines: Mapping[int, set[str]], *others: str) -> Reach:
    names = {*others}.union(*lines.values())
    return Reach(dict.fromkeys(names, 1.0), {"f.py": dict(lines)})


@pytest.mark.parametrize(
    ("line", "first", "others"),
    [
        (FIRST, ["first"], ["inner", "second", "another"]),
        (INNER, ["inner"], ["first", "second", "another"]),
        (SECOND, ["inner", "second"], ["first", "another"]),
        (2, [], ["first", "inner", "second", "another"]),  # outside of all functions
        (8, [], ["first", "inner", "second", "another"]),  # a function's head, too
    ],
)
def test_the_tests_that_run_a_function_are_asked_first_then_those_of_its_file_then_all(
    line: int, first: list[str], others: list[str]
) -> None:
    reach = _reach({FIRST: {"a/t.py::first"}, INNER: {"a/t.py::inner"}, SECOND: {"a/t.py::second"}}, "a/t.py::another")

    asked = reach.tests_of("f.py", SOURCE, line, ["a/t.py"])

    assert asked == tuple([f"a/t.py::{name}" for name in part] for part in (first, others))


def test_tests_of_other_projects_are_not_asked() -> None:
    reach = _reach({FIRST: {"a/t.py::one", "ab/t.py::two"}}, "b/t.py::three")

    assert reach.tests_of("f.py", SOURCE, FIRST, ["a/t.py"]) == (["a/t.py::one"], [])


def test_of_those_that_run_a_function_the_cheapest_come_first_of_the_others_the_nearest_file() -> None:
    seconds = {
        "a/a.py::slow": 3.0,
        "a/b.py::quick": 1.0,
        "a/a.py::quickest": 0.5,
        "a/near.py::dear": FIRST_SECONDS,
        "a/a.py::dear": FIRST_SECONDS,
    }
    reach = Reach(seconds, {"f.py": {FIRST: set(seconds)}})

    assert reach.tests_of("f.py", SOURCE, FIRST, ["a/near.py", "a/a.py", "a/b.py"]) == (
        ["a/a.py::quickest", "a/a.py::slow", "a/b.py::quick"],
        ["a/near.py::dear", "a/a.py::dear"],
    )


def test_what_each_test_runs_is_recorded_also_in_tasks_and_threads(tmp_path: Path) -> None:
    package = tmp_path / "libs/lib/src/lib"
    package.mkdir(parents=True)
    (package / "code.py").write_text(
        "def thread():\n    return 1\n\nasync def task():\n    return 2\n\ndef never():\n    return 3\n"
    )
    (tmp_path / "test_it.py").write_text(
        "import asyncio, sys\nsys.path.insert(0, 'libs/lib/src')\n"
        "import lib.code\n"
        "def test_thread():\n    asyncio.run(asyncio.to_thread(lib.code.thread))\n"
        "def test_task():\n    asyncio.run(lib.code.task())\n"
    )
    written = tmp_path / "written"
    written.mkdir()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tools.sql_mutation.recording"]

    done = subprocess.run(  # noqa: S603
        [*command, "--rootdir", ".", "-c", os.devnull, "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "REACH": str(written)},
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    reach = Reach.of(written)
    assert {line: tests for line, tests in reach.tests["libs/lib/src/lib/code.py"].items() if tests} == {
        2: {"test_it.py::test_thread"},
        5: {"test_it.py::test_task"},
    }
    assert reach.seconds.keys() == {"test_it.py::test_thread", "test_it.py::test_task"}
