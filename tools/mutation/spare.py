"""Tests that could go, all of them, and each mutant that is seen now would still be seen."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spare:
    """A test that could go; `by` sees each mutant that this one sees, "" if it takes several tests."""

    test: str
    kills: int
    by: str


def spare(killers: Mapping[str, Collection[str]]) -> Sequence[Spare]:
    """Of the tests by mutant. Those go first that see least, and of these the last by name."""
    kills: dict[str, set[str]] = defaultdict(set)
    for mutant, tests in killers.items():
        for test in tests:
            kills[test].add(mutant)
    left = Counter({mutant: len(tests) for mutant, tests in killers.items()})
    gone: list[str] = []
    for test in sorted(sorted(kills, reverse=True), key=lambda test: len(kills[test])):
        if all(left[mutant] > 1 for mutant in kills[test]):
            left.subtract(kills[test])
            gone.append(test)
    kept = sorted(kills.keys() - set(gone))
    return [
        Spare(test, len(kills[test]), next((one for one in kept if kills[test] <= kills[one]), ""))
        for test in sorted(gone)
    ]
