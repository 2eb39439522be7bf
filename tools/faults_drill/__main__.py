"""`python -m tools.faults_drill`: plant bugs in a copy of the tree, one at a time, and show which check sees each.

The drill shows that the harness's zeros mean something: without any one of these guards, a check must fail.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from tools.drill.scratch import DrillError, Scratch, scratch
from tools.faults_drill.planted import PLANTED, Planted

CAUGHT = 1
SHOWN_LINES, SHOWN_CHARACTERS = 3, 150
TELLING = ("FELL: ", "VIOLATION ", "FAILED ", "ERROR ", "E   ")


def main(
    only: Annotated[str, typer.Option(help="Bugs whose title has this in it.")] = "",
    *,
    sound: Annotated[bool, typer.Option(help="First see that every check passes without a bug.")] = True,
) -> None:
    """Exit with 1 unless each planted bug is caught, with 2 if the drill is at fault."""
    chosen = [planted for planted in PLANTED if only in planted.title]
    if not chosen:
        sys.exit(f"planted bugs: none has {only!r} in its title")
    try:
        with scratch() as copy:
            if sound:
                _refuse_if_caught_anyway(chosen, copy)
            caught = sum(_drilled(chosen, copy))
    except DrillError as error:
        print(f"planted bugs: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"planted bugs: {caught}/{len(chosen)} caught")
    sys.exit(caught < len(chosen))


def _refuse_if_caught_anyway(planted: Sequence[Planted], copy: Scratch) -> None:
    """Without a bug every check must pass, or the drill would prove nothing. Raises DrillError."""
    for check in dict.fromkeys(one.check for one in planted):
        if told := _failure(check, copy):
            raise DrillError(f"`python -m {' '.join(check)}` fails without any bug: {' '.join(told)}")
    print("without a bug: every check passes\n", flush=True)


def _drilled(planted: Sequence[Planted], copy: Scratch) -> Iterator[bool]:
    for number, one in enumerate(planted, start=1):
        begun = time.monotonic()
        with copy.with_edits(one.edits):
            told = _failure(one.check, copy)
        print(f"{number}. {one.title}")
        how = "\n     ".join([f"{_named(one.check)}, {time.monotonic() - begun:.0f} s", *(told or ())])
        print(f"   {how if told else 'NOT CAUGHT'}\n", flush=True)
        yield told is not None


def _failure(check: Sequence[str], copy: Scratch) -> Sequence[str] | None:
    """What a check says of the tree; None if it finds nothing wrong. Raises DrillError."""
    (copy.folder / "tmp").mkdir(mode=0o755, exist_ok=True)  # leftovers of a failed run are removed with the copy
    done = copy.run(check, TMPDIR=str(copy.folder / "tmp"))
    if not done.returncode:
        return None
    lines = [line.strip() for line in done.stdout.splitlines() if line.startswith(TELLING)]
    if done.returncode != CAUGHT or not lines:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
        raise DrillError(f"`python -m {' '.join(check)}` ended with {done.returncode} and named nothing:\n{end}")
    return [line[:SHOWN_CHARACTERS] for line in lines[:SHOWN_LINES]]


def _named(check: Sequence[str]) -> str:
    match check[0]:
        case "pytest":
            return "tests"
        case "tools.crash_points":
            return f"crash points, {check[-1]}"
    return "faults"


if __name__ == "__main__":
    typer.run(main)
