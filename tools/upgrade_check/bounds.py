"""Upper bounds in pyproject.toml files, versions in uv.lock, and the verdicts of a run with the newest versions."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

REQUIREMENT = re.compile(r'^(\s*|.*\[)"(?P<text>[A-Za-z0-9][^";]*<[^";]*(?:;[^"]*)?)"', re.MULTILINE)
"""A dependency with an upper bound, on a line of its own or the first of a list. What is behind a `;` is no bound: it
says where the dependency is needed."""
UPPER = re.compile(r",?\s*<[^,\"]*")

Verdict = Literal["raise the bound", "keep", "newest already", "no bound"]


@dataclass(frozen=True)
class Outcome:
    """A run of tests: how many passed, and the names of those that failed."""

    passed: tuple[str, ...]
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """What is known of one dependency."""

    name: str
    locked: str
    bound: str
    newest: str
    canaries: Outcome

    @property
    def canaries_told(self) -> str:
        """How many of its canaries passed, or which failed."""
        total = len(self.canaries.passed) + len(self.canaries.failed)
        return "\n".join(self.canaries.failed) or f"{total}/{total}"

    @property
    def needs_more(self) -> bool:
        """Whether the newest version is beyond the bound."""
        return not SpecifierSet(self.bound).contains(self.newest, prereleases=True)

    def verdict(self, *, works: bool) -> Verdict:
        """`works`: everything passed with all newest versions, or with this dependency's alone."""
        if not self.bound:
            return "no bound"
        if not self.needs_more:
            return "keep" if self.canaries.failed else "newest already"
        return "raise the bound" if works else "keep"


def bounds_in(pyproject: str) -> Iterator[tuple[str, str]]:
    """Each dependency that has an upper bound, with the bound, such as `<0.15`."""
    for found in REQUIREMENT.finditer(pyproject):
        requirement = Requirement(found["text"])
        upper = [str(each) for each in requirement.specifier if each.operator.startswith("<")]
        yield canonicalize_name(requirement.name), ",".join(upper)


def without_bounds(pyproject: str, names: Iterable[str] | None = None) -> str:
    """The text without the upper bounds of these dependencies, or of all."""
    chosen = None if names is None else {canonicalize_name(name) for name in names}

    def taken_off(found: re.Match[str]) -> str:
        name = canonicalize_name(Requirement(found["text"]).name)
        if chosen is not None and name not in chosen:
            return found[0]
        bounded, semicolon, marker = found[0].partition(";")
        return UPPER.sub("", bounded) + semicolon + marker

    return REQUIREMENT.sub(taken_off, pyproject)


def versions_in(lock: str) -> Mapping[str, str]:
    """The version of each package of a uv.lock."""
    return {package["name"]: package.get("version", "") for package in tomllib.loads(lock)["package"]}


def dependency_of(canary: str, names: Iterable[str]) -> str | None:
    """The dependency of a canary, by the beginning of the canary's name."""
    fitting = [name for name in names if canary.startswith(f"test_{name.replace('-', '_')}_")]
    return max(fitting, key=len, default=None)


def rows_of(
    bounds: Mapping[str, str], locked: Mapping[str, str], newest: Mapping[str, str], run: Outcome
) -> Sequence[Row]:
    """A row for each dependency that has a bound or a canary."""
    of = {canary: dependency_of(canary, locked) for canary in (*run.passed, *run.failed)}
    names = sorted({*bounds, *(name for name in of.values() if name)})
    return [
        Row(
            name,
            locked[name],
            bounds.get(name, ""),
            newest.get(name, "gone"),
            Outcome(*(tuple(canary for canary in some if of[canary] == name) for some in (run.passed, run.failed))),
        )
        for name in names
    ]


def summary(verdicts: Sequence[Verdict], unit: Outcome) -> str:
    """The last line of the report."""
    bounds = len(verdicts) - verdicts.count("no bound")
    failed = f" and {len(unit.failed):,} failed" if unit.failed else ""
    return (
        f"upgrade-check: {bounds} bounds, {verdicts.count('raise the bound')} can be raised, "
        f"unit tests {len(unit.passed):,} passed{failed} with the newest"
    )
