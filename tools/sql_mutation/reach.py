"""Which tests can see a change of a line, and in which order they are asked."""

import ast
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FIRST_SECONDS = 30.0
"""So long the tests take that are asked first; the cheapest of those that run a function."""


@dataclass(frozen=True)
class Reach:
    """What the plugin `tools.sql_mutation.recording` has seen, in all processes."""

    seconds: Mapping[str, float]
    """Of each test."""
    tests: Mapping[str, Mapping[int, set[str]]]
    """Those that ran a line, by file and line."""
    starters: set[str] = field(default_factory=set)
    """Those that started a process. What runs there isn't known."""

    @classmethod
    def of(cls, folder: Path) -> "Reach":
        """What was written to a folder."""
        seconds: dict[str, float] = {}
        tests: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        starters: set[str] = set()
        for path in folder.glob("*.json"):
            written = json.loads(path.read_text())
            seconds |= written["seconds"]
            starters.update(written["starters"])
            for file, lines in written["lines"].items():
                for line, by in lines.items():
                    tests[file][int(line)].update(by)
        return cls(seconds, tests, starters)

    def tests_of(self, file: str, source: str, line: int, *, within: str) -> Sequence[str]:
        """The tests in the folder `within` that can see a change of a line, the cheapest first.

        These are all that run its function, and all that start a process. A line outside of all functions runs when
        its module is imported, so that every test may see it. Those come first that run any function of the file.
        """
        around = [body for body in _bodies(source) if line in body]
        body = min(around, key=len) if around else None
        ran = self.tests.get(file, {})
        near = set[str]().union(*(tests for each, tests in ran.items() if body is None or each in body))
        can = {*near, *self.starters} if body else {*self.seconds}
        inside = f"{within}/"
        first, left = [], FIRST_SECONDS
        for test in sorted((test for test in near if test.startswith(inside)), key=self._cost):
            left -= self.seconds[test]
            if left < 0:
                break
            first.append(test)
        others = sorted((test for test in can.difference(first) if test.startswith(inside)), key=self._cost)
        return [*_by_file(first), *_by_file(others)]

    def _cost(self, test: str) -> tuple[float, str]:
        return self.seconds[test], test


def _by_file(tests: Iterable[str]) -> Sequence[str]:
    """In the order of each file's first test: what a file's tests share isn't made again."""
    files: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        files[test.partition("::")[0]].append(test)
    return [test for each in files.values() for test in each]


def _bodies(source: str) -> Iterator[range]:
    """The lines of each function's body: its head runs when it is defined."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            end = node.end_lineno or node.lineno
            yield range(node.body[0].lineno, end + 1)
