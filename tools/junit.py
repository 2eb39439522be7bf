"""pytest's JUnit reports, which it writes with --junitxml."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET


class Case(NamedTuple):
    """A test that ran, and the first line of each of its failures and errors."""

    module: str
    name: str
    failures: Sequence[str]


def cases_of(report: Path) -> Sequence[Case]:
    """The tests of a report; a test that was skipped didn't run."""
    cases = ET.parse(report).iter("testcase")  # noqa: S314 - our own pytest wrote it
    return [
        Case(
            case.get("classname", ""),
            case.get("name", ""),
            [(why.get("message") or "").partition("\n")[0] for why in (*case.iter("failure"), *case.iter("error"))],
        )
        for case in cases
        if case.find("skipped") is None
    ]
