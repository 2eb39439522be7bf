"""`python -m tools.performance`: runs the benches, and writes docs/performance.md and its plots of what they print.

Three of the figures are also written into README.md.

Each bench runs alone, one after the other. Its figures aren't kept where other programs used more than a quarter of the
cores.
"""

import sys
from typing import Annotated

import typer

from tools.performance.benches import BENCHES, OVER_THE_LIMIT, BenchError, arguments, printed, run
from tools.performance.page import PAGE, README, filled, with_figures
from tools.performance.plots import draw
from tools.performance.printed import NotPrintedError


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(BENCHES)}; without a name all.")] = None,
    *,
    given: Annotated[
        list[str] | None, typer.Option(help='A bench\'s own arguments, such as "consumer=--rounds 2"; once a bench.')
    ] = None,
    busy: Annotated[bool, typer.Option("--busy", help="Keep figures of a busy machine: the page says so.")] = False,
    page_only: Annotated[bool, typer.Option("--page-only", help="Run nothing: write what was printed before.")] = False,
) -> None:
    """Exit with 1 if a bench is over its limit, with 2 if one could not measure; its figures stay as they were."""
    wanted = [] if page_only else names or [*BENCHES]
    if unknown := [name for name in wanted if name not in BENCHES]:
        raise typer.BadParameter(f"{', '.join(unknown)}: choose of {', '.join(BENCHES)}")
    of_benches = arguments(given or [], wanted)
    over, failed = [], []
    for name in wanted:
        print(f"running {name}", flush=True)
        try:
            status = run(name, of_benches.get(name, ""), busy=busy)
        except BenchError as error:
            print(f"performance: {error}", file=sys.stderr)
            failed.append(name)
        else:
            print(printed()[name].last_line, flush=True)
            over += [name] if status == OVER_THE_LIMIT else []
    try:
        PAGE.write_text(filled(PAGE.read_text(), printed()))
        README.write_text(with_figures(README.read_text(), printed()))
        drawn = draw(printed())
    except (NotPrintedError, ValueError) as error:
        print(f"performance: {error}", file=sys.stderr)
        sys.exit(2)
    print(
        f"performance: {len(wanted)} benches, {len(over)} over their limits{_named(over)}, "
        f"{len(failed)} not measured{_named(failed)}; wrote the page, the README and {len(drawn)} plots"
    )
    sys.exit(2 if failed else bool(over))


def _named(names: list[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


if __name__ == "__main__":
    typer.run(main)
