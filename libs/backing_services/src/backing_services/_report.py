"""The two sections at the end of a run: what each level cost, and what did not run."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest

from backing_services.levels import Costs

LEVEL = "backing_services_level"
"""An attribute of pytest's reports: it travels from xdist's workers to the controller."""


@dataclass(eq=False)  # pytest keeps plugins in sets
class Report:
    """Two sections at the end of a run: what each level cost, and what did not run."""

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

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.costs.seconds:
            terminalreporter.section("seconds by level")
            for line in self.costs.table():
                terminalreporter.write_line(line)
        if self.not_run:
            terminalreporter.section("not run here")
            for reason, tests in self.not_run.items():
                terminalreporter.write_line(f"{len(tests)} because {reason}")
                for test in tests:
                    terminalreporter.write_line(f"    {test}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """A skip's longrepr is (path, line, "Skipped: reason")."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ") or "no reason was given"
