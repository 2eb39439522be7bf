"""`python -m tools.price`: what an order costs, by service and by hop, and whether that is more than it was.

Statements, transactions and round trips are counted on the way to PostgreSQL, by a proxy that reads its protocol. Bytes
of the write-ahead log are PostgreSQL's own count for each connection. Orders come one at a time for these, each when
everything is at rest: so they differ little from run to run. Transactions that a service also makes at rest, to look
whether there is anything to do, don't count. CPU is measured without the proxy, under full load, and compared as a
ratio to work of its kind.

The payment deadline of an order is due 15 minutes later, and in no figure.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from shop_harness.services import SERVICES

from tools.measuring.unmeasured import one_line_for_a_person
from tools.price.baseline import BaselineError, Price, growth, read_baseline, write_baseline
from tools.price.figures import Counts
from tools.price.measurement import PARTS, Counted, Measured, Processor, measured


def main(
    orders: Annotated[int, typer.Option(min=PARTS, help="Orders that come one at a time, and again as many.")] = 400,
    *,
    cpu: Annotated[bool, typer.Option(help="Also CPU, which differs by machine; without it only counts.")] = True,
    write: Annotated[bool, typer.Option("--write-baseline", help="Keep what is measured as the baseline.")] = False,
) -> None:
    """Exit with 1 if an order costs more than the baseline allows, with 2 if it could not be measured."""
    if write and not cpu:
        raise typer.BadParameter("a baseline has CPU in it: leave --no-cpu out")
    with one_line_for_a_person("price", BaselineError):
        before = None if write else read_baseline()
        with tempfile.TemporaryDirectory(prefix="price-") as folder:
            now = asyncio.run(measured(Path(folder), paced=orders, saturated=orders, cpu=cpu))
    ratios = {} if now.processor is None else {service: now.processor.ratios[service] for service in SERVICES}
    price = Price(now.paced.services, ratios)
    _show(now)
    grown = [] if before is None else growth(before, price)
    for complaint in grown:
        print(f"grown: {complaint}")
    if write:
        write_baseline(price)
    print(_last_line(now, "baseline written" if write else f"{len(grown)} grown" if grown else "baseline kept"))
    sys.exit(bool(grown))


def _show(now: Measured) -> None:
    console = Console()
    tables = [
        _counts(now.paced, "an order, one at a time"),
        _hops(now.paced, now.saturated),
        _counts(now.saturated, "an order, 16 clients at once"),
    ]
    if now.processor is not None:
        tables.append(_processor(now.processor))
    for table in tables:
        console.print(table)
        print()


def _counts(counted: Counted, title: str) -> Table:
    table = Table("", "statements", "commits", "round trips", "WAL, KB", "looks", "at rest", title=title)
    table.caption = "looks: statements that find nothing, beyond those that rest has\nat rest: statements a second"
    for service, counts in counted.services.items():
        table.add_row(service, *_cells(counts), f"{counted.looks[service]:z.1f}", f"{counted.idle[service]:.1f}")
    looks, idle = sum(counted.looks.values()), sum(counted.idle.values())
    table.add_row("all", *_cells(counted.total), f"{looks:z.1f}", f"{idle:.1f}")
    return table


def _cells(counts: Counts) -> list[str]:
    figures = (counts.statements, counts.commits, counts.round_trips, counts.wal_bytes / 1000)
    return [f"{figure:.2f}" for figure in figures]


def _hops(paced: Counted, saturated: Counted) -> Table:
    table = Table("service", "hop", "one at a time", "16 at once", title="statements an order")
    for service, counts in paced.services.items():
        together = saturated.services[service].hops
        for name in dict.fromkeys((*counts.hops, *together)):
            table.add_row(service, name, f"{counts.hops.get(name, 0):.2f}", f"{together.get(name, 0):.2f}")
    return table


def _processor(processor: Processor) -> Table:
    table = Table("", "CPU, ms", "without rest's", "to calibration", title="an order, 16 clients at once, not counted")
    for name, milliseconds in processor.milliseconds.items():
        table.add_row(name, f"{milliseconds:.1f}", f"{processor.net[name]:.1f}", f"{processor.ratios[name]:.3f}")
    milliseconds, net, ratio = (sum(one.values()) for one in (processor.milliseconds, processor.net, processor.ratios))
    table.add_row("all", f"{milliseconds:.1f}", f"{net:.1f}", f"{ratio:.3f}")
    table.caption = (
        f"{processor.orders_a_second:.1f} orders/s; calibration: {processor.calibration:.1f} ms for 1,000 turns"
    )
    return table


def _last_line(now: Measured, verdict: str) -> str:
    total = now.paced.total
    cpu = ""
    if now.processor is not None:
        cpu = f", {sum(now.processor.milliseconds[service] for service in SERVICES):.0f} ms of CPU"
    return (
        f"price: {total.commits:.1f} commits, {total.statements:.0f} statements, {total.round_trips:.0f} round trips, "
        f"{total.wal_bytes / 1000:.1f} KB of WAL{cpu} an order; {verdict}"
    )


if __name__ == "__main__":
    typer.run(main)
