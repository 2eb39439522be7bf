"""`python -m tools.bench_latency`: how long one order takes when nothing else is to do, and where.

The services record their spans, and export them when all orders are through: an export would be in an order's way. When
an order was confirmed is PostgreSQL's time of that commit, when the e-mail was sent is the end of the SMTP call's span.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from secrets import token_hex
from typing import Annotated

import typer
from backing_services.waiting import eventually
from rich.console import Console
from rich.table import Table
from shop_harness.ledgers import Ledgers
from shop_harness.percentiles import percentile
from shop_harness.services import SERVICES
from shop_harness.system import Ports

from tools.bench_latency.way import MAILED, WAY, IncompleteTraceError, hops, moments
from tools.measuring.collector import Collector, ReceivedSpan
from tools.measuring.load import Customers, Order
from tools.measuring.system import at_rest
from tools.measuring.timed import TimedSystem, confirmed_at
from tools.measuring.unmeasured import one_line_for_a_person

WARM_UP = 40
LOOK_EVERY = 0.1
SPANS_WITHIN = 30.0
AT_THE_END = {
    "OTEL_BSP_SCHEDULE_DELAY": "3600000",
    "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "65536",
}
"""Milliseconds, and spans: nothing is exported before a service ends."""
CONFIRMED, MAILED_TOTAL = "placed to confirmed", "placed to e-mail"
GOALS = {CONFIRMED: "30 / 80", MAILED_TOTAL: "50 / 120"}
"""Milliseconds, p50 / p99. They are no gate: another machine has other times."""


@dataclass(frozen=True)
class Latency:
    """Seconds of each order: by hop, and of the whole."""

    hops: Mapping[str, Sequence[float]]
    whole: Mapping[str, Sequence[float]]


class TracedSystem(TimedSystem):
    """See TimedSystem; its services record spans for a collector."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(Ports.free(), lambda _: None)
        self._endpoint = endpoint

    def environment(self, service: str, port: int = 0) -> dict[str, str]:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": self._endpoint, **AT_THE_END}
        return {**super().environment(service, port), **traced}


def main(orders: Annotated[int, typer.Option(min=10, help="Orders, one at a time.")] = 200) -> None:
    """Exit with 2 if it could not be measured."""
    with one_line_for_a_person("latency", IncompleteTraceError):
        latency = asyncio.run(_measured(orders))
    table = Table("hop", "by", "p50, ms", "p99, ms", title=f"{orders} orders, one at a time, nothing else to do")
    for milestone in WAY:
        table.add_row(milestone.hop, milestone.by, *_percentiles(latency.hops[milestone.hop]))
    table.add_section()
    for name, seconds in latency.whole.items():
        table.add_row(name, "", *_percentiles(seconds))
    Console().print(table)
    told = [f"{name} p50 / p99 {' / '.join(_percentiles(latency.whole[name]))} ms" for name in GOALS]
    goals = [f"{goal}, the goal is {GOALS[name]}" for name, goal in zip(GOALS, told, strict=True)]
    print(f"latency: {'; '.join(goals)}")


def _percentiles(seconds: Sequence[float]) -> list[str]:
    return [f"{1000 * percentile(seconds, percent):.1f}" for percent in (50, 99)]


async def _measured(orders: int) -> Latency:
    async with AsyncExitStack() as stack:
        collector = stack.enter_context(Collector.listening())
        system = await stack.enter_async_context(TracedSystem(collector.url))
        ledgers = await stack.enter_async_context(Ledgers(system))
        customers = await stack.enter_async_context(Customers.of(system.ports.url("orders"), 1))
        await customers.place(WARM_UP)
        await at_rest(ledgers, WARM_UP)
        placed: dict[str, Order] = {}
        for number in range(orders):
            trace = token_hex(16)
            placed[trace] = await customers.place_traced(f"00-{trace}-{token_hex(8)}-01")
            await at_rest(ledgers, WARM_UP + number + 1, every=LOOK_EVERY)
        confirmed = await confirmed_at(ledgers)
        for service in SERVICES:
            await system.supervisor.stop(service)
        traces = await _traces(collector, placed)
    ways = {trace: moments(traces[trace]) for trace in placed}
    by_hop: dict[str, list[float]] = defaultdict(list)
    for trace, way in ways.items():
        for hop, seconds in hops(placed[trace].placed_at, way).items():
            by_hop[hop].append(seconds)
    whole = {
        "POST answered": [order.seconds for order in placed.values()],
        CONFIRMED: [confirmed[order.order_id] - order.placed_at for order in placed.values()],
        MAILED_TOTAL: [ways[trace][MAILED] - order.placed_at for trace, order in placed.items()],
    }
    return Latency(by_hop, whole)


async def _traces(collector: Collector, placed: Mapping[str, Order]) -> Mapping[str, Sequence[ReceivedSpan]]:
    """The spans of each order, once each service has sent its own."""
    await eventually(
        lambda: {span.service for span in collector.spans} >= set(SERVICES), within=SPANS_WITHIN, every=LOOK_EVERY
    )
    traces: dict[str, list[ReceivedSpan]] = {trace: [] for trace in placed}
    for span in collector.spans:
        if span.trace_id in traces:
            traces[span.trace_id].append(span)
    return traces


if __name__ == "__main__":
    typer.run(main)
