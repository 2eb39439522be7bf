"""The sections at the end of a run: what each level cost, which has fewer tests than it had, and what did not run."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from backing_services.levels import LEVELS, Costs

HAD = "tests_at_last_release"
"""The name of a setting of pytest: how many tests each level had."""
LEVEL = "backing_services_level"
"""An attribute of pytest's reports: it travels from xdist's workers to the controller."""

NARROWED_BY = "backing_services_narrowed"
"""What a worker of xdist says of these at its end."""
NARROWED = pytest.StashKey[set[str]]()
"""Of a run's configuration: the levels of tests that were left out of it, by `-m` or by another plugin."""


@dataclass(eq=False)  # pytest keeps plugins in sets
class Report:
    """The sections at the end of a run; `had` is how many tests each level ran before."""

    had: Mapping[str, int] = field(default_factory=dict)
    costs: Costs = field(default_factory=Costs)
    not_run: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.costs.add(getattr(report, LEVEL), report.nodeid, report.duration)
        if report.skipped and not hasattr(report, "wasxfail"):
            self.not_run[_reason(report)].append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.not_run[_reason(report)].append(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give the seed to a worker of xdist, which would otherwise choose its own."""
        node.workerinput["shuffle"] = node.config.getoption("shuffle")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear what a worker of xdist left out; one that crashed says nothing."""
        node.config.stash.setdefault(NARROWED, set()).update(getattr(node, "workeroutput", {}).get(NARROWED_BY, ()))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        if self.costs.seconds:
            terminalreporter.section("seconds by level")
            for line in self.costs.table():
                terminalreporter.write_line(line)
        narrowed = config.stash.get(NARROWED, set())
        fewer = {
            level: len(tests)
            for level, tests in self.costs.seconds.items()
            if len(tests) < self.had.get(level, 0) and level not in narrowed
        }
        if fewer:
            terminalreporter.section("fewer tests than before")
            for level, number in fewer.items():
                terminalreporter.write_line(f"{level}: {number}, and {HAD} in pytest's settings says {self.had[level]}")
        if self.not_run:
            terminalreporter.section("not run here")
            for reason, tests in self.not_run.items():
                terminalreporter.write_line(f"{len(tests)} because {reason}")
                for test in tests:
                    terminalreporter.write_line(f"    {test}")


def tests_it_had(lines: Sequence[str]) -> Mapping[str, int]:
    """Of lines like `unit 120`. Raises pytest.UsageError."""
    had = {}
    for line in lines:
        level, _, number = line.partition(" ")
        if level not in LEVELS or not number.strip().isdecimal():
            raise pytest.UsageError(f"{HAD} has the line {line!r}, not a level and a number, like `unit 120`")
        had[level] = int(number)
    return had


def runs_whole_levels(config: pytest.Config) -> bool:
    """Whether all tests were asked for, or all of some levels."""
    options = vars(config.option)
    narrowed = any(options.get(name) for name in ("keyword", "deselect", "lf", "stepwise", "maxfail"))
    words = set(re.findall(r"\w+", config.option.markexpr))
    by_testpaths = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return by_testpaths and not narrowed and words <= {*LEVELS, "and", "or", "not"}


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """A skip's longrepr is (path, line, "Skipped: reason")."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ") or "no reason was given"
