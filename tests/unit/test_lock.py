"""uv.lock is that of the pyproject.toml files: uv takes it as it is (`--frozen`), so nobody else compares them."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tools.scratch import ROOT, projects

PROJECTS = [ROOT, *projects()]
Wanted = tuple[str, frozenset[str], str]
"""A name, its extras, and the versions that will do, with the case in which it is wanted."""


def name_of(folder: Path) -> str:
    name: str = project(folder)["project"]["name"]
    return name


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def _own_blocks() -> Iterator[tuple[str, dict[str, Any]]]:
    """The packages of the lock that are made here: the whole of it would take a second to read."""
    for block in (ROOT / "uv.lock").read_text().split("\n[[package]]\n")[1:]:
        if "\nsource = { editable = " in block or "\nsource = { virtual = " in block:
            found = tomllib.loads(block)
            yield found["name"], found["package"]["metadata"]


LOCKED = dict(_own_blocks())


def declared(texts: list[str], extra: str = "") -> set[Wanted]:
    of_extra = [f'extra == "{extra}"'] if extra else []
    return {
        (
            canonicalize_name(one.name),
            frozenset(one.extras),
            f"{one.specifier}; {' and '.join([*([str(one.marker)] if one.marker else []), *of_extra])}",
        )
        for one in map(Requirement, texts)
    }


def as_written(marker: str) -> str:
    """A marker of the lock, in which uv writes some words in its own way."""
    return marker.replace("'", '"').replace("python_full_version", "python_version")


def locked(requirements: list[dict[str, Any]]) -> set[Wanted]:
    return {
        (
            each["name"],
            frozenset(each.get("extras", ())),
            f"{SpecifierSet(each.get('specifier', ''))}; {as_written(each.get('marker', ''))}",
        )
        for each in requirements
    }


@pytest.mark.parametrize("folder", PROJECTS, ids=name_of)
def test_what_a_project_asks_for_is_what_was_locked(folder: Path) -> None:
    own, lock = project(folder), LOCKED[name_of(folder)]

    wanted = declared(own["project"].get("dependencies", []))
    for extra, texts in own["project"].get("optional-dependencies", {}).items():
        wanted |= declared(texts, extra)
    assert locked(lock.get("requires-dist", [])) == wanted, "uv lock"
    groups = {group: declared(texts) for group, texts in own.get("dependency-groups", {}).items()}
    assert {group: locked(each) for group, each in lock.get("requires-dev", {}).items()} == groups, "uv lock"


def test_every_project_of_the_workspace_is_locked_and_no_other() -> None:
    assert set(LOCKED) == {name_of(folder) for folder in PROJECTS}
