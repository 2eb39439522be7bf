"""`make upgrade-check`: what it reads of bounds, and what it concludes."""

import re

import pytest

from tools.upgrade_check.bounds import (
    Outcome,
    Row,
    Verdict,
    bounds_in,
    dependency_of,
    rows_of,
    summary,
    versions_in,
    without_bounds,
)
from tools.upgrade_check.environment import CANARIES, bounds_of_tree, files_of_tree

PYPROJECT = """\
[project]
requires-python = ">=3.11"
dependencies = ["httpx>=0.28", "jsonschema>=4.25"]
more = [
    "aiokafka>=0.14,<0.15",
    "faststream[kafka]>=0.7.8,<0.8",  # one
    "Pact_Python-CLI>=1!0.10,<1!0.11",
    "rich>=14",
]
"""
LOCK = """
[[package]]
name = "aiokafka"
version = "0.14.0"

[[package]]
name = "workspace"
"""
COMPAT = ("libs/*/src/*/_compat/*.py", "tools/mutation/mutmut.py")
LIVES, FELL = Outcome(("test_aiokafka_reads",), ()), Outcome((), ("test_aiokafka_reads",))


def test_bounds_are_read_of_dependencies_that_have_one() -> None:
    assert dict(bounds_in(PYPROJECT)) == {"aiokafka": "<0.15", "faststream": "<0.8", "pact-python-cli": "<1!0.11"}


def test_bounds_are_taken_off_and_nothing_else_is_changed() -> None:
    freed = without_bounds(PYPROJECT)

    assert not dict(bounds_in(freed))
    assert freed == PYPROJECT.replace(",<0.15", "").replace(",<0.8", "").replace(",<1!0.11", "")


def test_one_bound_is_taken_off_alone() -> None:
    assert without_bounds(PYPROJECT, ["pact-python-cli"]) == PYPROJECT.replace(",<1!0.11", "")


def test_a_python_below_which_a_dependency_is_needed_is_no_bound_of_it() -> None:
    text = """dependencies = [
    "backports.zstd>=1.8; python_version < '3.14'",
    "asyncpg>=0.32,<0.33; python_version < '3.14'",
]"""

    assert dict(bounds_in(text)) == {"asyncpg": "<0.33"}
    assert without_bounds(text) == text.replace(",<0.33", "")


def test_versions_are_those_of_the_lock() -> None:
    assert versions_in(LOCK) == {"aiokafka": "0.14.0", "workspace": ""}


def test_a_canary_is_of_the_dependency_with_the_longest_fitting_name() -> None:
    names = ["pact-python", "pact-python-ffi", "pytest"]

    assert [dependency_of(f"test_{name}_does", names) for name in ("pact_python", "pact_python_ffi", "other")] == [
        "pact-python",
        "pact-python-ffi",
        None,
    ]


@pytest.mark.parametrize(
    ("bound", "newest", "canaries", "works", "verdict"),
    [
        ("<0.15", "0.15.1", LIVES, True, "raise the bound"),
        ("<0.15", "0.15.1", LIVES, False, "keep"),
        ("<0.15", "0.15.1", FELL, False, "keep"),
        ("<0.15", "0.14.0", LIVES, True, "newest already"),
        ("<0.15", "0.14.3", LIVES, False, "newest already"),
        ("<0.15", "0.14.3", FELL, False, "keep"),
        ("", "0.15.1", LIVES, True, "no bound"),
    ],
)
def test_a_bound_can_be_raised_where_everything_works_beyond_it(
    bound: str, newest: str, canaries: Outcome, works: bool, verdict: str
) -> None:
    assert Row("aiokafka", "0.14.0", bound, newest, canaries).verdict(works=works) == verdict


def test_a_row_has_its_own_canaries_and_names_those_that_fell() -> None:
    run = Outcome(("test_aiokafka_reads", "test_alembic_waits", "test_of_nothing"), ("test_aiokafka_ends",))
    locked, newest = {"aiokafka": "0.14.0", "alembic": "1.20"}, {"aiokafka": "0.15.0", "alembic": "1.20"}

    aiokafka, alembic = rows_of({"aiokafka": "<0.15"}, locked, newest, run)

    assert (aiokafka.canaries_told, alembic.canaries_told) == ("test_aiokafka_ends", "1/1")
    assert (aiokafka.needs_more, alembic.bound) == (True, "")


def test_the_last_line_counts_bounds_and_unit_tests() -> None:
    verdicts: list[Verdict] = ["raise the bound", "keep", "newest already", "no bound"]

    assert summary(verdicts, Outcome(("test",) * 1556, ())) == (
        "upgrade-check: 3 bounds, 1 can be raised, unit tests 1,556 passed with the newest"
    )
    assert "1 passed and 2 failed" in summary([], Outcome(("test",), ("one", "two")))


def test_every_bound_has_a_canary_and_is_said_where_the_dependency_is_used() -> None:
    bounds = bounds_of_tree()
    canaries = {
        name for path in files_of_tree(CANARIES) for name in re.findall(r'@canary\(\s*"(.*?)"', path.read_text())
    }
    said = [found for path in files_of_tree(COMPAT) for found in re.findall(r"`([a-z-]+)(<[\d.!]+)`", path.read_text())]

    assert bounds.keys() - canaries == set(), "these have a bound and no canary"
    assert {name: bounds.get(name) for name, _ in said} == dict(said), "docstrings and pyproject.toml differ"
    assert bounds.keys() == dict(said).keys(), "no module says why these have a bound"
