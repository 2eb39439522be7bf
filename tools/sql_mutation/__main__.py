"""`python -m tools.sql_mutation`: change SQL in a copy of the tree, one part at a time, and show what no test sees."""

import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tools.mistakes.mistake import swap
from tools.nearest import nearest_first
from tools.scratch import ROOT, Scratch, ScratchError, in_copies, scratches
from tools.sql_mutation.mutants import SqlMutant, mutants_of
from tools.sql_mutation.reach import Reach
from tools.sql_mutation.survivors import reason_for

LIMIT = 95.0
"""Percent."""
TEST_SECONDS = 30
"""A test that a mutant holds up for longer has seen it. The slowest one takes seven."""
HANGS = ("-x", f"--timeout={TEST_SECONDS}", "--timeout-method=thread")  # it ends the process: asyncio keeps errors back
PYTEST = ("pytest", "-q", "--tb=no", "--no-header", "-p", "no:cacheprovider", *HANGS)
TIMEOUT = "+ Timeout +"
"""What pytest-timeout writes before it ends the process."""
LATEST = 10
"""So many of the tests that saw the last mutants of a file are the first to be asked about the next one."""
FAILED = {1, 2, 4}
"""pytest's codes where a test fails, or can't be imported, or its conftest can't. Others are no verdict: a process that
was killed, for want of memory say, has seen nothing.
"""
LEVELS = ("parity", "integration")
"""Their tests run SQL."""
NOT_MUTATED = {"testing", "_compat", "_doctor"}
"""What tests use, what names another library's parts, and what a person reads once."""

console = Console(highlight=False, soft_wrap=True)


def main(
    only: Annotated[str, typer.Option(help="Files whose path has this in it.")] = "",
    at_once: Annotated[
        int, typer.Option(min=1, help="So many copies of the tree at once: tests wait, most of the time.")
    ] = 4,
    *,
    listed: Annotated[bool, typer.Option("--list", help="Say what would be changed, and change nothing.")] = False,
) -> None:
    """Exit with 1 if a survivor has no reason or too few mutants are killed, with 2 if nothing could be judged."""
    mutants = [mutant for file in files() if only in file for mutant in mutants_of(file, (ROOT / file).read_text())]
    if not mutants:
        _end(f"there is no SQL in files with {only!r} in their path")
    if listed:
        for mutant in mutants:
            _tell(mutant, "")
        return
    begun = time.monotonic()
    try:
        with scratches(at_once) as copies:
            reach = _reach_of_a_tree_that_passes(mutants, copies[0])
            alive = list(_survivors(mutants, copies, reach))
    except ScratchError as error:
        _end(str(error))
    unexplained = _show(mutants, alive)
    killed = len(mutants) - len(alive)
    print(f"judged in {time.monotonic() - begun:.0f} s")
    print(f"sql-mutation: {100 * killed / len(mutants):.1f} % of {len(mutants)} mutants killed")
    sys.exit(unexplained > 0 or (not only and 100 * killed < LIMIT * len(mutants)))


def _end(problem: str) -> None:
    print(f"sql-mutation: {problem}", file=sys.stderr)
    sys.exit(2)


def files() -> Sequence[str]:
    """The code that makes SQL."""
    paths = [*ROOT.glob("libs/outboxed/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]
    found = [path.relative_to(ROOT) for path in paths if "sqlalchemy" in path.read_text()]
    return sorted(str(path) for path in found if not NOT_MUTATED & set(path.parts))


def _tests_of(file: str, folder: Path) -> Sequence[str]:
    """The project's files of tests that run SQL, the likeliest by their names first. A library's own judge its SQL."""
    project = folder.joinpath(*Path(file).parts[:2])
    tests = [path for level in LEVELS for path in sorted((project / "tests" / level).rglob("test_*.py"))]
    return nearest_first([str(path.relative_to(folder)) for path in tests], [file], folder)


def _reach_of_a_tree_that_passes(mutants: Sequence[SqlMutant], copy: Scratch) -> Reach:
    tests = {test for file in {mutant.file for mutant in mutants} for test in _tests_of(file, copy.folder)}
    with tempfile.TemporaryDirectory() as folder:
        recorded = (*PYTEST, "-p", "tools.sql_mutation.recording", "-n", "auto", "--dist", "worksteal")
        done = copy.run((*recorded, *sorted(tests)), REACH=folder)
        if done.returncode != 0:
            raise ScratchError(f"without any change the tests fail:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return Reach.of(Path(folder))


def _survivors(mutants: Sequence[SqlMutant], copies: Sequence[Scratch], reach: Reach) -> Iterator[SqlMutant]:
    saw: dict[str, list[str]] = defaultdict(list)  # by file, the tests that saw its mutants, the latest first

    def judged(mutant: SqlMutant, copy: Scratch) -> tuple[bool, str]:
        if reason_for(mutant):
            return False, "not asked, it has a reason"
        source = (copy.folder / mutant.file).read_text()
        near, others = reach.tests_of(mutant.file, source, mutant.line, _tests_of(mutant.file, copy.folder))
        first = dict.fromkeys([*saw[mutant.file][:LATEST], *near])
        rest = [test for test in others if test not in first]
        killed, words = False, "NO TEST"
        with copy.with_edits((swap(mutant.file, source, mutant.source),)):
            for tests in filter(None, (first, rest)):
                killed, words = verdict_of(copy.run((*PYTEST, *tests)))
                if killed:
                    break
        if (test := words.partition(" ")[2]) in reach.seconds:
            saw[mutant.file] = list(dict.fromkeys([test, *saw[mutant.file]]))
        return killed, words

    for mutant, (killed, words) in in_copies(mutants, copies, judged):
        _tell(mutant, words)
        if not killed:
            yield mutant


def verdict_of(done: subprocess.CompletedProcess[str]) -> tuple[bool, str]:
    """Whether a test, or the import of the code, has failed or hangs; and the words for that. Raises ScratchError."""
    if done.returncode == 0:
        return False, "SURVIVED"
    if TIMEOUT in done.stdout:
        return True, "a test hangs"
    told = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if done.returncode not in FAILED or not (told or done.stderr):
        raise ScratchError(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return True, told[0].split(" - ")[0] if told else "the code can't be imported"


def _tell(mutant: SqlMutant, words: str) -> None:
    console.print(f"{mutant.file}:{mutant.line} {words}\n  - {mutant.before}\n  + {mutant.after}", markup=False)


def _show(mutants: Sequence[SqlMutant], alive: Sequence[SqlMutant]) -> int:
    table = Table("file", "mutants", "killed", "explained", "survived")
    unexplained = 0
    for file in dict.fromkeys(mutant.file for mutant in mutants):
        left = [mutant for mutant in alive if mutant.file == file]
        explained = sum(reason_for(mutant) is not None for mutant in left)
        made = sum(mutant.file == file for mutant in mutants)
        counts = (made, made - len(left), explained, len(left) - explained)
        table.add_row(file, *map(str, counts), style="red" if counts[-1] else None)
        unexplained += counts[-1]
    for mutant in alive:
        _tell(mutant, f"explained: {reason}" if (reason := reason_for(mutant)) else "SURVIVED")
    console.print(table)
    return unexplained


if __name__ == "__main__":
    typer.run(main)
