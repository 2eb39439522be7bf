"""Runs code as if nothing but a distribution with some extras were installed: other packages can't be imported."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from types import TracebackType
from typing import Self

from packaging.requirements import Requirement

FORKED = Path(__file__).with_name("forked.py")


def requirements(name: str, extras: frozenset[str] = frozenset()) -> Iterator[tuple[str, frozenset[str]]]:
    """What a distribution asks for on this Python, with the extras of each."""
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        chosen = ("", *extras)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in chosen):
            yield normalized(requirement.name), frozenset(requirement.extras)


def installed_by(name: str, extras: frozenset[str]) -> set[str]:
    """The distributions that installing this one brings, itself included."""
    found: set[tuple[str, frozenset[str]]] = set()
    left = [(name, extras)]
    while left:
        each = left.pop()
        if each not in found:
            found.add(each)
            left += requirements(*each)
    return {each for each, _ in found}


def normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


installed = cache(packages_distributions)


@cache
def refused(name: str, extras: frozenset[str]) -> Sequence[str]:
    """The packages that installing `name` with these extras doesn't bring."""
    allowed = installed_by(name, extras)
    return sorted(
        package
        for package, distributions in installed().items()
        if not allowed & {normalized(each) for each in distributions}
    )


@dataclass(frozen=True)
class Done:
    """The end of a program: its status, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


class Programs:
    """A context manager: each program is a process of its own, without the time that its first imports take.

    They are forks of one process (forked.py), which has imported what outboxed needs without any extra.
    """

    def __enter__(self) -> Self:
        alone = json.dumps(refused("outboxed", frozenset()))
        self._parent = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-P", FORKED, alone], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parent.communicate()

    def run(self, code: str, variables: Mapping[str, str], without: Sequence[str] = ()) -> Done:
        """Run code as `python -c` does, with these environment variables, and as if some packages weren't there."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        order = {"code": code, "environment": dict(variables), "refused": [*without]}
        self._parent.stdin.write(json.dumps(order) + "\n")
        self._parent.stdin.flush()
        answer = self._parent.stdout.readline()
        assert answer, "the parent of these programs has ended"
        return Done(*json.loads(answer))

    def run_with(self, extras: frozenset[str], code: str) -> Done:
        """Run code where nothing but outboxed with these extras can be imported, beside the standard library."""
        return self.run(code, os.environ, refused("outboxed", extras))
