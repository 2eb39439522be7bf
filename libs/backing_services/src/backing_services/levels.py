"""The levels of the tests, which are the names of the folders under `tests`, and what each one cost."""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePath

LEVELS = {
    "unit": "domain and handlers with in-memory ports: no socket, no file, no sleep",
    "contract": "messages and HTTP against pacts: no broker, no database",
    "integration": "with PostgreSQL and Kafka, embedded or in containers",
    "parity": "one suite on the in-memory and on the SQL ports",
    "model": "the rules of the saga, walked in memory through every interleaving",
    "journey": "one saga through all services in one process",
    "e2e": "the images of docker-compose.yml",
    "faults": "kills, pauses, duplicates, outages, with a ledger outside",
}
OTHER = "other"


def level_of(path: PurePath) -> str:
    """Name the level of a test file: the folder below the innermost `tests` that is a level, else "other"."""
    parts = path.parts
    for folder, below in reversed(list(pairwise(parts))):
        if folder == "tests" and below in LEVELS:
            return below
    return OTHER


@dataclass
class Costs:
    """Seconds by level and test, setup and teardown included."""

    seconds: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))

    def add(self, level: str, test: str, seconds: float) -> None:
        self.seconds[level][test] += seconds

    def table(self) -> list[str]:
        """Lines: level, tests, seconds in all, median of a test in milliseconds."""
        from statistics import median  # noqa: PLC0415 - needed at the end of a run, not at each start

        lines = [f"{'level':<12}{'tests':>7}{'seconds':>10}{'median ms':>11}"]
        for level in (*LEVELS, OTHER):
            if tests := self.seconds.get(level):
                each = list(tests.values())
                lines.append(f"{level:<12}{len(each):>7}{sum(each):>10.2f}{1000 * median(each):>11.1f}")
        return lines
