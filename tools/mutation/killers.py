"""A plugin of pytest within mutmut's runs: writes down the tests that see a mutant, and not only the first."""

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from tools.mutation.mutmut import IN_A_NAME, MUTANT

WRITTEN_TO = "MUTATION_KILLERS"
"""The variable with the file's path; a line for each mutant and test."""
ENOUGH = 10
"""Tests; where so many see a mutant, each of them could go as far as that mutant is concerned."""
OPTIONS = ("-p", __name__, f"--maxfail={ENOUGH}")
"""What pytest is told after mutmut's own `-x`: load this plugin, and go on after a failure."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        with Path(os.environ[WRITTEN_TO]).open("a") as file:  # mutmut's processes take turns line by line
            file.write(f"{os.environ.get(MUTANT, '')}\t{report.nodeid}\n")


def read(file: Path) -> Mapping[str, frozenset[str]]:
    """By mutant, the tests that saw it, ENOUGH of them at most. A mutant that was ended for its time isn't there."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in file.read_text().splitlines() if file.exists() else ():
        mutant, _, test = line.partition("\t")
        if IN_A_NAME in mutant:
            found[mutant].add(test)
    return {mutant: frozenset(tests) for mutant, tests in found.items()}
