"""The plots of docs/performance.md, drawn of what the benches printed."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tools.performance.printed import Printed

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "performance",  # the same figures make the same file
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "legend.frameon": False,
}
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
"""Apart also for people who see fewer colours. Source: Paul Tol's bright scheme."""
WIDTH, A_BAR = 8.0, 0.3
PLAIN = "{x:,g}"
"""Of an axis with a scale by logarithms: 1,000, not 10 with an exponent."""
LEAST = 0.05
"""Statements an order: rarer ones have no bar."""


def draw(printed: Mapping[str, Printed]) -> Sequence[str]:
    """Draw what there are figures for; the names of the files. Raises NotPrintedError."""
    drawn = []
    for name, (bench, plot) in PLOTS.items():
        if bench in printed:
            with mpl.rc_context(STYLE):
                plot(printed[bench]).savefig(FOLDER / name, format="svg", metadata={"Date": None})
            drawn.append(name)
    return drawn


def load(printed: Printed) -> Figure:
    """Milliseconds at rising rates."""
    [table] = printed.tables
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.subplots()
    for colour, what in zip(COLOURS, ("POST", "confirmed"), strict=False):
        for percentile, style in (("p50", "-"), ("p99", "--")):
            name = f"{what} {percentile}"
            rates, milliseconds = table.numbers("orders/s"), table.numbers(name)
            axes.plot(rates, milliseconds, style, color=colour, marker="o", label=name)
    axes.set(xlabel="orders a second", ylabel="ms", yscale="log", title="Time of an order at rising rates")
    axes.yaxis.set_major_formatter(PLAIN)
    axes.legend()
    return figure


def hops(printed: Printed) -> Figure:
    """Milliseconds of each hop of an order."""
    [table] = printed.tables
    rows = [row for row in zip(*map(table.column, ("hop", "by", "p50, ms", "p99, ms")), strict=True) if row[1]]
    colours = dict(zip(dict.fromkeys(by for _, by, _, _ in rows), COLOURS * 2, strict=False))
    figure = Figure(figsize=(WIDTH, A_BAR * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots()
    for by, colour in colours.items():
        of_it = [(number, row) for number, row in enumerate(rows) if row[1] == by]
        places = [number for number, _ in of_it]
        axes.barh(places, [float(row[2]) for _, row in of_it], color=colour, label=by)
        axes.plot([float(row[3]) for _, row in of_it], places, "|", color=colour, markersize=9)
    _list_from_the_top(axes, [row[0] for row in rows])
    axes.set(xlabel="ms: the bar is the median, the line the 99th percentile", title="One order, hop by hop")
    axes.legend(loc="lower right")
    return figure


def cost(printed: Printed) -> Figure:
    """Statements of each hop of an order."""
    table, columns = printed.tables[1], ("one at a time", "16 at once")
    hops_of_services = zip(*map(table.column, ("service", "hop")), *map(table.numbers, columns), strict=True)
    rows = [(f"{service}: {hop}", times) for service, hop, *times in hops_of_services if max(times) >= LEAST]
    names = [name for name, _ in rows]
    figure = Figure(figsize=(WIDTH, A_BAR * len(names) + 1.4), layout="constrained")
    axes = figure.subplots()
    for number, (column, colour) in enumerate(zip(columns, COLOURS, strict=False)):
        places = [place + 0.4 * number - 0.2 for place in range(len(rows))]
        axes.barh(places, [times[number] for _, times in rows], height=0.4, color=colour, label=column)
    _list_from_the_top(axes, names)
    axes.set(xlabel="statements an order", title="What an order asks of PostgreSQL")
    axes.legend(loc="lower right")
    return figure


def backlog(printed: Printed) -> Figure:
    """Milliseconds of each step by the rows that wait."""
    [table] = printed.tables
    sizes = [int(name.split()[0].replace(",", "")) for name in table.columns[1:]]
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.subplots()
    for colour, (step, *milliseconds) in zip(COLOURS, table.rows, strict=False):
        axes.plot(sizes, [float(each) for each in milliseconds], color=colour, marker="o", label=step)
    axes.set(xlabel="rows in each table", ylabel="ms", xscale="log", yscale="log", title="A step behind a backlog")
    axes.xaxis.set_major_formatter(PLAIN)
    axes.yaxis.set_major_formatter(PLAIN)
    axes.legend()
    return figure


def _list_from_the_top(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False, axis="y")
    axes.margins(y=0.01)
    axes.invert_yaxis()


PLOTS: Mapping[str, tuple[str, Callable[[Printed], Figure]]] = {
    "performance-load.svg": ("load", load),
    "performance-hops.svg": ("latency", hops),
    "performance-cost.svg": ("price", cost),
    "performance-backlog.svg": ("backlog", backlog),
}
"""Files, each with the bench whose figures it shows."""
