"""Which tests see no mutant that another one doesn't: `make mutation ARGS=--spare-tests`."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tools.mutation import killers
from tools.mutation.mutmut import IN_A_NAME, MUTANT
from tools.mutation.spare import Spare, spare


def test_a_test_that_sees_no_more_than_another_could_go() -> None:
    found = spare({"one": {"small", "large"}, "two": {"large"}})

    assert found == [Spare("small", 1, by="large")]


def test_of_two_that_see_the_same_one_stays() -> None:
    assert spare({"one": {"first", "second"}}) == [Spare("second", 1, by="first")]


def test_a_test_of_the_same_file_is_named_first() -> None:
    found = spare({"one": {"a.py::x", "b.py::x", "b.py::y"}, "two": {"a.py::x"}, "three": {"b.py::y"}})

    assert found == [Spare("b.py::x", 1, by="b.py::y")]


def test_what_several_see_together_is_said_so() -> None:
    found = spare({"one": {"a", "both"}, "two": {"b", "both"}, "three": {"a"}, "four": {"b"}})

    assert found == [Spare("both", 2, by="")]


def test_a_test_that_alone_sees_something_stays() -> None:
    assert spare({"one": {"a"}, "two": {"a", "b"}, "three": {"b"}}) == []


def test_without_any_mutant_there_is_nothing_to_say() -> None:
    assert spare({}) == []


def test_every_failure_is_written_down_with_its_mutant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(killers.WRITTEN_TO, str(tmp_path / "killers"))
    one, other = (f"x_place{IN_A_NAME}{number}" for number in (1, 2))
    seen = ((one, "a", True), (one, "b", True), (one, "c", False), (other, "a", True), ("fail", "a", True))
    for mutant, test, failed in seen:
        monkeypatch.setenv(MUTANT, mutant)
        killers.pytest_runtest_logreport(cast("pytest.TestReport", SimpleNamespace(failed=failed, nodeid=test)))

    assert killers.read(tmp_path / "killers") == {one: {"a", "b"}, other: {"a"}}


def test_before_any_failure_nothing_is_there(tmp_path: Path) -> None:
    assert killers.read(tmp_path / "killers") == {}
