"""`python -m tools.upgrade_check`: which upper bounds the newest versions of all dependencies allow to raise."""

import subprocess
import sys
from collections.abc import Mapping, Sequence

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tools.scratch import ROOT
from tools.upgrade_check.bounds import Row, Verdict, rows_of, summary, versions_in
from tools.upgrade_check.environment import Environment, UpgradeCheckError, bounds_of_tree, scratch_environment

PIPED_WIDTH = 160
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
SHOWN = 10


def main() -> None:
    """With the newest versions of all dependencies: which upper bound can go up?

    In a temporary folder, a copy of the tree gets an environment of its own,
    with the newest versions, whatever the bounds. There the canaries run
    (tests of what we use of a dependency beside its public interface) and all
    unit tests. Where something fails, each dependency that went beyond its
    bound is tried again alone, with the others as they are locked.

    "raise the bound" means that all of these tests pass with that version:
    change the bound in pyproject.toml, run `uv lock --upgrade-package NAME`,
    and then `make test`.

    The exit status is 0 whatever was found, and 2 where it could not be found
    out, as without a network.
    """
    try:
        with scratch_environment() as environment:
            _judge(environment)
    except (UpgradeCheckError, OSError, subprocess.CalledProcessError) as error:
        print(f"upgrade-check: {error}", file=sys.stderr)
        sys.exit(2)


def _judge(environment: Environment) -> None:
    locked = versions_in((ROOT / "uv.lock").read_text())
    newest = environment.install()
    canaries, unit = environment.canaries(), environment.unit_tests()
    rows = rows_of(bounds_of_tree(), locked, newest, canaries)
    alone = {} if not canaries.failed and not unit.failed else _tried_alone(environment, rows)
    verdicts = [row.verdict(works=not alone.get(row.name)) for row in rows]
    _show(rows, verdicts)
    _tell("with the newest of all", unit.failed)
    for name, failed in alone.items():
        _tell(f"with the newest {name} alone", failed)
    print(summary(verdicts, unit))


def _tried_alone(environment: Environment, rows: Sequence[Row]) -> Mapping[str, Sequence[str]]:
    """What fails with each dependency that is beyond its bound."""
    return {row.name: _failures_with(environment, row.name) for row in rows if row.bound and row.needs_more}


def _failures_with(environment: Environment, name: str) -> Sequence[str]:
    try:
        environment.install([name])
    except UpgradeCheckError as error:  # the locked versions of the others don't allow this one
        return [str(error)]
    return [*dict.fromkeys(environment.canaries().failed + environment.unit_tests().failed)]  # some tests are in both


def _show(rows: Sequence[Row], verdicts: Sequence[Verdict]) -> None:
    table = Table("dependency", "locked", "bound", "newest", "canaries", "verdict")
    for row, verdict in zip(rows, verdicts, strict=True):
        style = "green" if verdict == "raise the bound" else "red" if row.canaries.failed else None
        table.add_row(row.name, row.locked, row.bound, row.newest, escape(row.canaries_told), verdict, style=style)
    console.print(table)


def _tell(when: str, failed: Sequence[str]) -> None:
    for name in failed[:SHOWN]:
        console.print(f"failed {when}: {name}", markup=False)
    if len(failed) > SHOWN:
        console.print(f"... and {len(failed) - SHOWN} more")


if __name__ == "__main__":
    typer.run(main)
