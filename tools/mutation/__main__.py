"""`python -m tools.mutation`: make a thousand small changes to the code, and show which ones no unit test sees."""

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tools.mutation.mutmut import IN_A_NAME, name_of
from tools.mutation.spare import Spare, spare
from tools.mutation.survivors import reason_for
from tools.mutation.workspace import MUTATED, Mutant, MutmutError, workspace
from tools.scratch import ROOT

LIMIT = 95.0
"""Percent."""
HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.MULTILINE)

console = Console(highlight=False, soft_wrap=True)


def main(
    against: Annotated[str, typer.Option(help="Only functions that were changed since this revision.")] = "",
    *,
    spare_tests: Annotated[bool, typer.Option(help="Also list tests that see what others see.")] = False,
) -> None:
    """Exit with 1 if a survivor has no reason or too few mutants are killed, with 2 if nothing could be judged."""
    begun = time.monotonic()
    try:
        only = list(_changed(against)) if against else []
        modules = sorted({module for module, _ in only}) or MUTATED
        if against and not only:
            print(f"mutation: none of the code that is mutated was changed since {against}")
            return
        with workspace(modules, killers_too=spare_tests) as copy:
            mutants = copy.judge([name for _, name in only])
            killers = copy.killers() if spare_tests else {}
    except (MutmutError, subprocess.CalledProcessError) as error:
        print(f"mutation: {getattr(error, 'stderr', None) or error}", file=sys.stderr)
        sys.exit(2)
    unexplained = _show(mutants)
    if spare_tests:
        _show_spare(killers)
    killed = sum(mutant.killed for mutant in mutants)
    score = 100 * killed / len(mutants) if mutants else 100.0
    print(f"judged in {time.monotonic() - begun:.0f} s")
    print(f"mutation: {score:.1f} % of {len(mutants):,} mutants killed")
    sys.exit(unexplained > 0 or (score < LIMIT and not against))  # one explained survivor of few misses the limit


def _show(mutants: Sequence[Mutant]) -> int:
    table = Table("module", "mutants", "killed", "explained", "survived")
    unexplained = 0
    for module in MUTATED:
        of_module = [mutant for mutant in mutants if mutant.module == module]
        alive = [mutant for mutant in of_module if not mutant.killed]
        explained = [mutant for mutant in alive if reason_for(mutant)]
        if of_module:
            counts = (len(of_module), len(of_module) - len(alive), len(explained), len(alive) - len(explained))
            table.add_row(module, *map(str, counts), style="red" if counts[-1] else None)
        unexplained += len(alive) - len(explained)
    for mutant in (mutant for mutant in mutants if not mutant.killed):
        reason = reason_for(mutant)
        console.print(f"{'explained' if reason else 'SURVIVED'}: {mutant.name}", style=None if reason else "red")
        console.print(f"  - {mutant.before}\n  + {mutant.after}", markup=False)
        if reason:
            console.print(f"  {reason}")
    console.print(table)
    return unexplained


def _show_spare(killers: Mapping[str, frozenset[str]]) -> None:
    found = spare(killers)
    for one in found:
        console.print(f"spare: {one.test}\n  {one.kills} seen, all of them {_by(one)}", markup=False)
    tests = len({test for seen in killers.values() for test in seen})
    print(f"spare: {len(found):,} of {tests:,} tests that see a mutant could go, and each mutant would still be seen")


def _by(one: Spare) -> str:
    return f"by {one.by}" if one.by else "by several others"


def _changed(revision: str) -> Iterator[tuple[str, str]]:
    """Modules, and patterns of mutmut's names for the functions in them that have a changed line."""
    for module in MUTATED:
        [path] = [*ROOT.glob(f"libs/*/src/{module}"), *ROOT.glob(f"services/*/src/{module}")]
        command = ["git", "diff", "--unified=0", revision, "--", str(path)]
        diff = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603
        lines = {
            line
            for start, count in HUNK.findall(diff)
            for line in range(int(start), int(start) + max(int(count or 1), 1))
        }
        dotted = module.removesuffix(".py").replace("/", ".")
        for name in _functions_with(lines, path):
            yield module, f"{dotted}.{name}{IN_A_NAME}*"


def _functions_with(lines: set[int], path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        methods = node.body if isinstance(node, ast.ClassDef) else [node]
        for function in methods:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and lines & set(
                range(function.lineno, (function.end_lineno or function.lineno) + 1)
            ):
                yield name_of(function.name, node.name if isinstance(node, ast.ClassDef) else None)


if __name__ == "__main__":
    typer.run(main)
