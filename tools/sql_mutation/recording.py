"""A plugin for pytest: which lines does each test run, and how long does it take?

`REACH=FOLDER pytest -p tools.sql_mutation.recording` writes a file to the folder, with xdist one for each worker.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest


class Recording:
    """What one process has seen of its tests."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"{name}.json"
        self._root = Path.cwd()
        self._seconds: dict[str, float] = defaultdict(float)
        sources = [f"{self._root}/libs/*/src/*", f"{self._root}/services/*/src/*"]
        self._coverage = coverage.Coverage(
            data_file=None, config_file=False, include=sources, concurrency=["thread", "greenlet"]
        )
        self._coverage.set_option("run:core", "ctrace")  # Python's own monitoring can't tell one test from another
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """What runs from here on is this test's, also in other threads."""
        self._coverage.switch_context(item.nodeid)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Its steps, from the setup to the teardown."""
        self._seconds[report.nodeid] += report.duration

    def pytest_unconfigure(self) -> None:
        """Write it down."""
        self._coverage.stop()
        data = self._coverage.get_data()
        lines = {
            str(Path(file).relative_to(self._root)): {
                line: [test for test in tests if test] for line, tests in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        self._file.write_text(json.dumps({"lines": lines, "seconds": self._seconds}))


def pytest_configure(config: pytest.Config) -> None:
    """Begin before conftest files import what is looked at: only what runs inside of functions is asked for later."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker or not config.getoption("numprocesses", None):  # the process that waits for workers runs no test
        config.pluginmanager.register(Recording(Path(os.environ["REACH"]), worker or "main"))
