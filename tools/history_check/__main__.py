"""`python -m tools.history_check`: take back what came with a test, and show what nobody would see today."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated

import typer

from tools.history_check.fixes import Change, MovedOnError, changes, make_copy_know, restore, take_back
from tools.history_check.no_fixes import NO_FIXES
from tools.mistakes.levels import PYTEST, NotCollectedError, Stop, caught_again
from tools.mistakes.mistake import Mistake, Project
from tools.scratch import Scratch, ScratchError, in_copies, scratches

ENOUGH = 0.98
MOVED_ON, SAYS_THE_SAME, ADDED = "the code has moved on", "the code did the same before", "it added what tests import"
NO_FIX = "a person has read that no test could see it"


@dataclass(frozen=True)
class Outcome:
    """What became of a change that was taken back: a level stopped it, none did, or why it is no mended mistake."""

    stop: Stop | None = None
    set_aside: str = ""


def main(
    last: Annotated[int, typer.Option(min=1, help="Only so many changes of source, the newest.")] = 10_000,
    before: Annotated[str, typer.Option(help="Only commits older than this one: a run that was stopped goes on.")] = "",
    only: Annotated[str, typer.Option(help="Commits that begin with this, or have it in their subject.")] = "",
    at_once: Annotated[int, typer.Option(min=1, help="So many copies of the tree at once; a core each.")] = 2,
) -> None:
    """Exit with 1 unless 98 of 100 are caught, with 2 if the tool itself fails."""
    try:
        every = list(islice(_older_than(before), last))
        chosen = _chosen(every, only)
        with scratches(at_once) as copies:
            for copy in copies:
                make_copy_know(copy.folder)
            outcomes = dict(_taken_back(chosen, copies))
    except (ScratchError, subprocess.CalledProcessError) as error:
        print(f"history: {getattr(error, 'stderr', None) or error}", file=sys.stderr)
        sys.exit(2)
    fixes = {change: outcome.stop for change, outcome in outcomes.items() if not outcome.set_aside}
    right = [stop for stop in fixes.values() if stop]
    for change in (change for change, stop in fixes.items() if stop is None):
        print(f"NOT CAUGHT: {change.commit} {change.subject}")
    for reason, count in Counter(outcome.set_aside for outcome in outcomes.values() if outcome.set_aside).items():
        print(f"set aside: {count}, {reason}")
    print(f"without a test came {sum(not one.tests for one in every)} of {len(every)} changes of source")
    print(f"history: {len(fixes)} fixes, {len(right)} caught")
    sys.exit(len(right) < len(fixes) * ENOUGH)


def _older_than(commit: str) -> Iterator[Change]:
    """All changes, or those behind this one. Raises ScratchError if it is none."""
    every = changes()
    if commit and not any(one.commit.startswith(commit) for one in every):  # what is left then is older
        raise ScratchError(f"no change of source begins with {commit!r}")
    return every


def _chosen(every: Sequence[Change], only: str) -> Sequence[Change]:
    chosen = [one for one in every if one.tests and (one.commit.startswith(only) or only in one.subject)]
    if not chosen:
        named = f"whose subject has {only!r}, or that begins with it," if only else "in this history"
        raise ScratchError(f"no change of source {named} came with a test")
    return chosen


def _taken_back(chosen: Sequence[Change], copies: Sequence[Scratch]) -> Iterator[tuple[Change, Outcome]]:
    for change, outcome in in_copies(chosen, copies, _outcome_and_back):
        print(f"{change.commit} {change.subject}\n   {_told(outcome)}", flush=True)
        yield change, outcome


def _outcome_and_back(change: Change, copy: Scratch) -> Outcome:
    try:
        return _outcome(change, copy)
    finally:
        restore(copy.folder)


def _outcome(change: Change, copy: Scratch) -> Outcome:
    try:
        differs = take_back(change, copy.folder)
    except MovedOnError:
        return Outcome(set_aside=MOVED_ON)
    if not differs:
        return Outcome(set_aside=SAYS_THE_SAME)
    if any(change.commit.startswith(commit) for commit in NO_FIXES):
        return Outcome(set_aside=NO_FIX)
    try:
        for folder in change.folders:
            own = [test for test in change.tests if test.startswith(f"{folder}/")]
            if (stop := caught_again(_mistake(change, folder, copy), copy, *own)) and fails_again(stop, copy):
                return Outcome(stop)
    except NotCollectedError:
        return Outcome(set_aside=ADDED)
    return Outcome()


def fails_again(stop: Stop, copy: Scratch) -> bool:
    """Whether it was the change: a test that fails once may have had too little time."""
    # without its parameters, which may have spaces, or be cut off
    failed = re.match(r"(?:FAILED|ERROR) ([^\s[]+)", stop.message[0])
    return failed is None or copy.run((*PYTEST, failed[1])).returncode != 0


def _mistake(change: Change, folder: str, copy: Scratch) -> Mistake:
    packages = tuple(sorted(path.name for path in (copy.folder / folder / "src").iterdir() if path.is_dir()))
    return Mistake(change.subject, "", Project(folder, packages), ())


def _told(outcome: Outcome) -> str:
    if outcome.set_aside:
        return f"set aside: {outcome.set_aside}"
    if outcome.stop is None:
        return "NOT CAUGHT"
    return "\n     ".join([f"{outcome.stop.level}, {outcome.stop.seconds:.1f} s", *outcome.stop.message[:1]])


if __name__ == "__main__":
    typer.run(main)
