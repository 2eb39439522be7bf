"""Make mistakes in a copy of the tree, one at a time, and show the cheapest level that catches each, and its words."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated

import typer
from shop_harness.percentiles import percentile

from tools.mistakes import last_time
from tools.mistakes.catalogue import BY_PART
from tools.mistakes.levels import LEVELS, Stop, caught, caught_again, unsound
from tools.mistakes.mistake import Mistake, Project
from tools.scratch import Scratch, ScratchError, in_copies, scratches

ENOUGH = 0.95


def main(  # noqa: PLR0913 - one for each option
    only: Annotated[str, typer.Option(help="Mistakes whose title has this in it.")] = "",
    part: Annotated[str, typer.Option(help=f"One of: {', '.join(BY_PART)}.")] = "",
    at_once: Annotated[int, typer.Option(min=1, help="So many copies of the tree at once; a core each.")] = 2,
    *,
    sound: Annotated[bool, typer.Option(help="First see that every level passes without a mistake.")] = True,
    remember: Annotated[bool, typer.Option(help="Note what caught which: next time that is asked first.")] = False,
    again: Annotated[bool, typer.Option(help="Ask the cheaper levels only where last time's test passes.")] = False,
) -> None:
    """Exit with 1 unless each is caught by the level that is there for it, of the whole catalogue 95 of 100.

    Exit with 2 if the tool itself fails.
    """
    if part and part not in BY_PART:
        _end(f"mistakes: --part must be one of {', '.join(BY_PART)}")
    parts = [part] if part else list(BY_PART)
    chosen = [mistake for name in parts for mistake in BY_PART[name] if only in mistake.title]
    if not chosen:
        _end(f"mistakes: none has {only!r} in its title")
    titles = [mistake.title for mistakes in BY_PART.values() for mistake in mistakes]
    try:
        with scratches(min(at_once, len(chosen))) as copies:
            if sound:
                _refuse_if_caught_anyway(chosen, copies)
            stops = {}
            for mistake, stop in _made(chosen, copies, caught_again if again else caught):
                stops[mistake] = stop
                if remember and isinstance(stop, Stop) and stop.file:  # at once: a run takes hours
                    last_time.remember({mistake.title: stop.file}, titles)
    except ScratchError as error:
        _end(f"mistakes: {error}")
    right = [stop for one, stop in stops.items() if isinstance(stop, Stop) and one.gate in {"", stop.level}]
    unjudged = sum(isinstance(stop, ScratchError) for stop in stops.values())
    _tell_what_passed(stops)
    print(_line(right, len(chosen)))
    if unjudged:
        _end(f"mistakes: {unjudged} could not be judged")
    sys.exit(len(right) < len(chosen) * (1 if part or only else ENOUGH))


def _end(problem: str) -> None:
    print(problem, file=sys.stderr)
    sys.exit(2)


def _refuse_if_caught_anyway(mistakes: Sequence[Mistake], copies: Sequence[Scratch]) -> None:
    """Without a mistake every level and every check must pass, or nothing would be proved. Raises ScratchError."""
    alone = [(one.project, one.check) for one in mistakes if one.check]
    asked: Sequence[tuple[Project, tuple[str, ...]]] = [*((one.project, ()) for one in mistakes), *alone]
    for (project, check), stop in in_copies([*dict.fromkeys(asked)], copies, lambda one, copy: unsound(*one, copy)):
        if stop:
            raise ScratchError(f"without any mistake, {' '.join(check) or project.folder}: {_told(stop)}")
    print("without a mistake: every level passes\n", flush=True)


def _made(
    mistakes: Sequence[Mistake], copies: Sequence[Scratch], ask: Callable[..., Stop | None]
) -> Iterator[tuple[Mistake, Stop | ScratchError | None]]:
    """Make each mistake; yields them as they end, with what caught it, or why that can't be said."""
    first = last_time.remembered()  # once: it is written meanwhile
    for number, (mistake, stop) in enumerate(in_copies(mistakes, copies, partial(_stop_of, ask, first)), start=1):
        print(f"{number}. {mistake.project.folder}: {mistake.title}\n   {_told_of(mistake, stop)}\n", flush=True)
        yield mistake, stop


def _stop_of(
    ask: Callable[..., Stop | None], first: Mapping[str, str], mistake: Mistake, copy: Scratch
) -> Stop | ScratchError | None:
    try:
        with copy.with_edits(mistake.edits):
            return ask(mistake, copy, first.get(mistake.title, ""))
    except ScratchError as error:  # hours of the others aren't lost for it
        return error


def _told_of(mistake: Mistake, stop: Stop | ScratchError | None) -> str:
    if isinstance(stop, ScratchError):
        return f"NOT JUDGED: {stop}"
    if stop is None:
        return f"NOT CAUGHT: {mistake.harm}"
    if mistake.gate not in {"", stop.level}:
        return f"BY THE WRONG LEVEL, {mistake.gate} is there for it: {_told(stop)}"
    return _told(stop)


def _told(stop: Stop) -> str:
    return "\n     ".join([f"{stop.level}, {stop.seconds:.1f} s", *stop.message])


def _tell_what_passed(stops: dict[Mistake, Stop | ScratchError | None]) -> None:
    for mistake, stop in stops.items():
        if stop is None:
            print(f"NOT CAUGHT: {mistake.title}: {mistake.harm}")
        elif isinstance(stop, ScratchError):
            print(f"NOT JUDGED: {mistake.title}")


def _line(right: Sequence[Stop], made: int) -> str:
    by_level = Counter(stop.level for stop in right)
    levels = ", ".join(f"{level} {by_level[level]}" for level in LEVELS if level in by_level)
    seconds = percentile([stop.seconds for stop in right], 50) if right else 0
    return f"mistakes: {len(right)}/{made} caught, by level: {levels}; median {seconds:.1f} s"


if __name__ == "__main__":
    typer.run(main)
