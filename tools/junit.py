"""pytest's JUnit reports, which it writes with --junitxml."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET


@dataclass(frozen=True)
class Case:
    """A test that ran, and the first line of each of its failures and errors."""

    module: str
    name: str
    failures: Sequence[str]


def cases_of(report: Path) -> Sequence[Case]:
    """The tests of a report; a test that was skipped didn't run."""
    return [
        Case(case.get("classname", ""), case.get("name", ""), [_first_line(why) for why in _problems(case)])
        for case in ET.parse(report).iter("testcase")  # noqa: S314 - our own pytest wrote it
        if case.find("skipped") is None
    ]


def _problems(case: ET.Element) -> Sequence[ET.Element]:
    return [*case.findall("failure"), *case.findall("error")]


def _first_line(problem: ET.Element) -> str:
    return (problem.get("message") or "").partition("\n")[0]
