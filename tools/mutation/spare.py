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
    return [Spare(test, len(kills[test]), _stand_in(test, kept, kills)) for test in sorted(gone)]


def _stand_in(test: str, kept: Sequence[str], kills: Mapping[str, set[str]]) -> str:
    """One of the same file if there is one: that may be the same test twice."""
    others = [one for one in kept if kills[test] <= kills[one]]
    beside = [one for one in others if one.partition("::")[0] == test.partition("::")[0]]
    return next(iter([*beside, *others]), "")
