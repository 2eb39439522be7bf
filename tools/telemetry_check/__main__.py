"""`python -m tools.telemetry_check`: do the shop's spans follow the conventions, and what do they cost?

The services export by OTLP to a stand-in for a collector, as the standard variables say. Orders are confirmed and
declined, an event comes again, a handler fails, a record can't be read. Each span is held to the semantic conventions.
"""

import asyncio
import sys
from typing import Annotated

import httpx
import typer
from backing_services.waiting import StillWaitingError
from rich.console import Console
from rich.table import Table
from shop_harness.customers import NoAnswerError
from shop_harness.services import SERVICES
from shop_harness.system import FOR_A_PERSON

from tools.measuring.collector import Collector
from tools.measuring.load import LoadError
from tools.telemetry_check.cost import MODES, Cost, measured
from tools.telemetry_check.judgement import judged
from tools.telemetry_check.shop import journeyed


def main(
    orders: Annotated[int, typer.Option(min=20, help="Orders of a turn of the cost table.")] = 320,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each mode.")] = 3,
    *,
    cost: Annotated[bool, typer.Option(help="Measure what spans cost, which needs `make fetch-kafka`.")] = True,
) -> None:
    """Exit with 1 if a span deviates from the conventions, with 2 if it could not be seen."""
    try:
        if cost:
            print(f"measuring CPU: {rounds} rounds of {orders} orders with each of {', '.join(MODES)}", flush=True)
            _show(asyncio.run(measured(orders, rounds)))
        with Collector.listening() as collector:
            deviations = asyncio.run(_deviations(collector))
    except (*FOR_A_PERSON, LoadError, NoAnswerError, StillWaitingError, httpx.HTTPError) as error:
        print(f"telemetry: {error or type(error).__name__}", file=sys.stderr)
        sys.exit(2)
    for deviation in deviations:
        print(f"deviation: {deviation}")
    print(f"telemetry: {len(collector.spans)} spans, {len(deviations)} deviations")
    sys.exit(bool(deviations))


async def _deviations(collector: Collector) -> list[str]:
    async with journeyed(collector) as journey:
        return list(judged(collector, journey))


def _show(cost: Cost) -> None:
    table = Table("spans", *SERVICES, "all", "to off", "least", "exported", title="CPU an order of the services, ms")
    for mode in MODES:
        each = [f"{cost.milliseconds(mode, [service]):.1f}" for service in SERVICES]
        ratios = [f"{ratio:.2f}" for ratio in (cost.ratio(mode), cost.least_ratio(mode))]
        table.add_row(mode, *each, f"{cost.milliseconds(mode):.1f}", *ratios, f"{cost.spans[mode]:,}")
    table.caption = "medians; least: those parts alone that cost least\nexported: spans of the last turn"
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
