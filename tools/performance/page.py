"""The parts of docs/performance.md and of README.md that are what the benches printed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from docs.site import marked
from tools.performance.printed import NotPrintedError, Printed, Table

ROOT = Path(__file__).parents[2]
PAGE, README = ROOT / "docs" / "performance.md", ROOT / "README.md"
DRAWN: Mapping[str, Sequence[int]] = {"price": (1,)}
"""Tables that are too long for the page: the plots have them."""
OVER = "**This run was over its limit.**\n"


def filled(page: str, printed: Mapping[str, Printed]) -> str:
    """The page with what was printed. Raises ValueError for a bench that has no place in it."""
    return marked.filled(page, {name: _part(name, one) for name, one in printed.items()})


def with_figures(readme: str, printed: Mapping[str, Printed]) -> str:
    """The README with three of the figures. Raises NotPrintedError, ValueError."""
    builds = printed["saga"].tables[0]
    costs = _row(builds, "services")
    others = ", ".join(f"{name} {costs[name]}" for name in builds.columns[2:])
    load = printed["load"].tables[0]
    fastest = max(load.numbers("orders/s"))
    latency = _row(printed["latency"].tables[0], "placed to confirmed")
    rows = [
        ("CPU an order costs in the three services, ms", f"{costs['product']}; {others}", "`make bench-saga`"),
        ("orders a second, all servers and customers on the same cores", f"{fastest:.0f}", "`make bench-load`"),
        (
            "from placed to confirmed when nothing else is done, p50 / p99, ms",
            f"{latency['p50, ms']} / {latency['p99, ms']}",
            "`make bench-latency`",
        ),
    ]
    return marked.filled(readme, {"figures": marked.table(("", "on two cores", "printed by"), rows)})


def _row(table: Table, name: str) -> Mapping[str, str]:
    """A row by its first cell. Raises NotPrintedError."""
    for row in table.rows:
        if row[0] == name:
            return dict(zip(table.columns, row, strict=True))
    raise NotPrintedError(f"no row {name!r} among {', '.join(row[0] for row in table.rows)}")


def _part(name: str, printed: Printed) -> str:
    tables = [each for number, each in enumerate(printed.tables) if number not in DRAWN.get(name, ())]
    paragraphs = [paragraph for table in tables for paragraph in _shown(table)]
    over = [OVER] if printed.is_over_its_limit else []
    return "\n".join([*paragraphs, f"`{printed.last_line}`\n", *over, f"{printed.about}.\n"])


def _shown(table: Table) -> Iterator[str]:
    if table.title:
        yield f"{_sentence(table.title)}:\n"
    yield marked.table(table.columns, table.rows)
    if table.caption:
        yield f"{_sentence(table.caption)}.\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
