"""``python -m tools.upgrade_check``: which upper bound can be raised, by the newest versions of all dependencies."""

import sys
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table

from tools.drill.scratch import ROOT
from tools.upgrade_check.bounds import Outcome, Row, Verdict, rows_of, summary, versions_in
from tools.upgrade_check.environment import Environment, UpgradeCheckError, bounds_of_tree, scratch_environment

PIPED_WIDTH = 160
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
SHOWN = 10


def main() -> None:
    """Install the newest versions of all dependencies, whatever our bounds, and say which bounds can be raised.

    It happens in a temporary folder: a copy of the tree, without the upper bounds, in an environment of its own. There
    the canaries run (tests of what we use of a dependency beside its public interface) and all unit tests. Where
    something fails, each dependency that went beyond its bound is tried again with all others as they are locked.

    In the table, "raise the bound" means that all of these tests pass with the newest version. Then change the bound in
    pyproject.toml, run `uv lock --upgrade-package NAME`, and the other levels of tests.

    Exit with 0 whatever was found, with 2 where it could not be found out, as without a network.
    """
    try:
        with scratch_environment() as environment:
            _judge(environment)
    except UpgradeCheckError as error:
        print(f"upgrade-check: {error}", file=sys.stderr)
        sys.exit(2)


def _judge(environment: Environment) -> None:
    locked = versions_in((ROOT / "uv.lock").read_text())
    newest = environment.install()
    canaries, unit = environment.canaries(), environment.unit_tests()
    rows = rows_of(bounds_of_tree(), locked, newest, canaries)
    all_works = not canaries.failed and not unit.failed
    verdicts = [row.verdict(works=all_works or _works_alone(environment, row)) for row in rows]
    _show(rows, verdicts, unit)


def _works_alone(environment: Environment, row: Row) -> bool:
    if not row.bound or not row.needs_more:
        return False
    try:
        environment.install([row.name])
    except UpgradeCheckError:  # the others, as they are locked, don't allow it
        return False
    return not environment.canaries().failed and not environment.unit_tests().failed


def _show(rows: Sequence[Row], verdicts: Sequence[Verdict], unit: Outcome) -> None:
    table = Table("dependency", "locked", "bound", "newest", "canaries", "verdict")
    for row, verdict in zip(rows, verdicts, strict=True):
        style = "green" if verdict == "raise the bound" else "red" if row.canaries.failed else None
        table.add_row(row.name, row.locked, row.bound, row.newest, row.canaries_told, verdict, style=style)
    console.print(table)
    for name in unit.failed[:SHOWN]:
        console.print(f"failed with the newest of all: {name}", markup=False)
    if len(unit.failed) > SHOWN:
        console.print(f"... and {len(unit.failed) - SHOWN} more")
    print(summary(verdicts, unit))


if __name__ == "__main__":
    typer.run(main)
