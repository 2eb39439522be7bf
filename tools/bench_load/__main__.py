"""`python -m tools.bench_load`: how long orders take the nearer their rate comes to the highest.

The highest rate is that of customers who each place the next order when the last one is answered. The other rates are
shares of it; there orders come whether those before are answered or not, and time counts from when each was to come.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import Annotated

import typer
from backing_services.waiting import StillWaitingError
from rich.console import Console
from rich.table import Table
from shop_harness.customers import NoAnswerError
from shop_harness.ledgers import Ledgers
from shop_harness.percentiles import percentile
from shop_harness.services import SAGA
from shop_harness.system import FOR_A_PERSON, Ports

from tools.measuring.load import Customers, LoadError
from tools.measuring.system import at_rest
from tools.measuring.timed import TimedSystem, confirmed_at

CLIENTS = 16
WARM_UP = 160
SHARES = (20, 40, 60, 80, 90)
"""Per cent of the highest rate."""
GOAL_SHARE, GOAL = 60, "25 / 100"
"""Milliseconds of POST, p50 / p99, at this share. They are no gate: another machine has other times."""
GOAL_RATE = 100


@dataclass(frozen=True)
class Step:
    """One rate: orders a second, CPU milliseconds an order of the services, seconds until answered, and confirmed."""

    share: int
    rate: float
    milliseconds: float
    answered: Sequence[float]
    confirmed: Sequence[float]


def main(
    seconds: Annotated[float, typer.Option(min=5, help="How long orders come at each rate.")] = 20.0,
) -> None:
    """Exit with 2 if it could not be measured."""
    try:
        steps = asyncio.run(_measured(seconds))
    except (*FOR_A_PERSON, LoadError, NoAnswerError, StillWaitingError) as error:
        print(f"load: {error}", file=sys.stderr)
        sys.exit(2)
    table = Table("% of the highest", "orders/s", "CPU, ms", title="orders at rising rates; p50 and p99 in ms")
    for heading in ("POST p50", "POST p99", "confirmed p50", "confirmed p99"):
        table.add_column(heading)
    for step in steps:
        figures = [*_percentiles(step.answered), *_percentiles(step.confirmed)]
        table.add_row(str(step.share), f"{step.rate:.1f}", f"{step.milliseconds:.1f}", *figures)
    table.caption = f"CPU: an order, in the services\n100 %: {CLIENTS} customers, each with one order at a time"
    Console(width=100).print(table)
    at_goal = next(step for step in steps if step.share == GOAL_SHARE)
    print(
        f"load: {steps[-1].rate:.0f} orders/s, the goal is {GOAL_RATE}; at {GOAL_SHARE} % of that POST p50 / p99 "
        f"{' / '.join(_percentiles(at_goal.answered))} ms, the goal is {GOAL}"
    )


def _percentiles(seconds: Sequence[float]) -> list[str]:
    return [f"{1000 * percentile(seconds, percent):.0f}" for percent in (50, 99)]


async def _measured(seconds: float) -> Sequence[Step]:
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(TimedSystem(Ports.free(), lambda _: None))
        ledgers = await stack.enter_async_context(Ledgers(system))
        customers = await stack.enter_async_context(Customers.of(system.ports.url("orders"), CLIENTS))
        run = _Run(system, ledgers, customers)
        warm = await run.step(100, WARM_UP)
        highest = await run.step(100, round(warm.rate * seconds))
        rates = {share: highest.rate * share / 100 for share in SHARES}
        return [*[await run.step(share, round(rate * seconds), rate) for share, rate in rates.items()], highest]


@dataclass
class _Run:
    """The system, and how many orders it has had."""

    system: TimedSystem
    ledgers: Ledgers
    customers: Customers
    placed: int = 0

    async def step(self, share: int, orders: int, rate: float | None = None) -> Step:
        """So many orders at a rate, or as fast as they are answered, until everything is at rest again."""
        before, begun = self._seconds(), perf_counter()
        answered = await (self.customers.place(orders) if rate is None else self.customers.place_at(rate, orders))
        self.placed += orders
        await at_rest(self.ledgers, self.placed)
        took = perf_counter() - begun
        spent = self._seconds() - before
        confirmed = await confirmed_at(self.ledgers)
        return Step(
            share=share,
            rate=rate or orders / took,
            milliseconds=1000 * spent / orders,
            answered=answered.seconds,
            confirmed=[confirmed[order.order_id] - order.placed_at for order in answered.orders],
        )

    def _seconds(self) -> float:
        spent = self.system.processor_seconds({service: service for service in SAGA})
        return sum(spent[service] for service in SAGA)


if __name__ == "__main__":
    typer.run(main)
