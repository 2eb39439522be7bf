"""Make mistakes in a copy of the tree, one at a time, and show which gate stops each and what its author reads."""

import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from tools.drill.gates import Stop, stopped
from tools.drill.mistakes import MISTAKES, Mistake
from tools.drill.scratch import DrillError, Scratch, scratch


def main(only: Annotated[str, typer.Option(help="Mistakes whose title has this in it.")] = "") -> None:
    """Exit with 1 unless each mistake is stopped by the gate that is there for it, with 2 if the drill is at fault."""
    chosen = [mistake for mistake in MISTAKES if only in mistake.title]
    if not chosen:
        sys.exit(f"drill: no mistake has {only!r} in its title")
    try:
        with scratch() as copy:
            refuse_if_stopped_anyway(chosen, copy)
            stops = list(drilled(chosen, copy))
    except DrillError as error:
        print(f"drill: {error}", file=sys.stderr)
        sys.exit(2)
    count = sum(stop is not None and stop.gate == mistake.gate for mistake, stop in zip(chosen, stops, strict=True))
    print(f"drill: {count}/{len(chosen)} stopped")
    sys.exit(count < len(chosen))


def refuse_if_stopped_anyway(mistakes: Sequence[Mistake], copy: Scratch) -> None:
    """Without a mistake every gate must be open, or the drill would prove nothing. Raises DrillError."""
    for project in dict.fromkeys(mistake.project for mistake in mistakes):
        if stop := stopped(project, copy):
            raise DrillError(f"without any mistake, {project.folder} is stopped by {_told(stop)}")
    print("without a mistake: every gate is open\n", flush=True)


def drilled(mistakes: Sequence[Mistake], copy: Scratch) -> Iterator[Stop | None]:
    for number, mistake in enumerate(mistakes, start=1):
        with copy.with_edits(mistake.edits):
            stop = stopped(mistake.project, copy)
        print(f"{number}. {mistake.project.folder}: {mistake.title}")
        print(f"   {_told(stop) if stop else 'GOT THROUGH'}\n", flush=True)
        if stop and stop.gate != mistake.gate:
            print(f"   BY THE WRONG GATE: this is what {mistake.gate} is for\n", flush=True)
        yield stop


def _told(stop: Stop) -> str:
    return "\n     ".join([f"{stop.gate}, {stop.seconds:.1f} s", *stop.message])


if __name__ == "__main__":
    typer.run(main)
