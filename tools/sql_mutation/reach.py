"""In which order are tests asked whether they see a change of a line?"""

import ast
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FIRST_SECONDS = 10.0
"""So long the first tests of a function take."""


@dataclass(frozen=True)
class Reach:
    """What the plugin `tools.sql_mutation.recording` has seen, in all processes."""

    seconds: Mapping[str, float]
    """Of each test."""
    tests: Mapping[str, Mapping[int, set[str]]]
    """Those that ran a line, by file and line."""

    @classmethod
    def of(cls, folder: Path) -> "Reach":
        """What was written to a folder."""
        seconds: dict[str, float] = {}
        tests: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for path in folder.glob("*.json"):
            written = json.loads(path.read_text())
            seconds |= written["seconds"]
            for file, lines in written["lines"].items():
                for line, by in lines.items():
                    tests[file][int(line)].update(by)
        return cls(seconds, tests)

    def tests_of(self, file: str, source: str, line: int, among: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
        """The cheapest tests that run a line's function, and all others of the files `among`.

        Of the others, those come first that run any function of its file. The rest may see a change, too: what runs in
        another process isn't known, and a function that is cached runs for one test.
        """
        ran = self.tests.get(file, {})
        around = [body for body in _bodies(source) if line in body]
        body = min(around, key=len, default=range(0))
        of_function = set[str]().union(*(tests for each, tests in ran.items() if each in body))
        of_file = set[str]().union(*ran.values())
        places = {each: place for place, each in enumerate(among)}
        cheap = sorted((test for test in self.seconds if _file(test) in places), key=self._cost)
        likely = sorted(cheap, key=lambda test: (test not in of_file, places[_file(test)]))
        first = self._first(test for test in cheap if test in of_function)
        return first, [test for test in likely if test not in first]

    def _cost(self, test: str) -> tuple[float, str]:
        return self.seconds[test], test

    def _first(self, tests: Iterable[str]) -> Sequence[str]:
        """Those of one file together: what they share isn't made again."""
        files: dict[str, list[str]] = defaultdict(list)
        left = FIRST_SECONDS
        for test in tests:
            if (left := left - self.seconds[test]) >= 0:
                files[_file(test)].append(test)
        return [test for each in files.values() for test in each]


def _file(test: str) -> str:
    return test.partition("::")[0]


def _bodies(source: str) -> Iterator[range]:
    """The lines of each function's body: its head runs when it is defined."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            end = node.end_lineno or node.lineno
            yield range(node.body[0].lineno, end + 1)
