"""`python -m tools.bench_load`: how long orders take the nearer their rate comes to the highest.

The highest rate is that of customers who each place the next order when the last one is answered. The other rates are
shares of it; there orders come whether those before are answered or not, and time counts from when each was to come.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from shop_harness.ledgers import Ledgers
from shop_harness.percentiles import percentile
from shop_harness.services import SAGA
from shop_harness.system import Ports

from tools.measuring.load import Customers, Order
from tools.measuring.system import at_rest
from tools.measuring.timed import TimedSystem, confirmed_at
from tools.measuring.unmeasured import one_line_for_a_person

CLIENTS = 16
WARM_UP = 160
SHARES = (20, 40, 60, 80, 90)
"""Per cent of the highest rate."""
GOAL_SHARE, GOAL = 60, "25 / 100"
"""Milliseconds of POST, p50 / p99, at this share. They are no gate: another machine has other times."""
GOAL_RATE = 100


@dataclass(frozen=True)
class Step:
    """One rate: the orders a second that it reached, and CPU milliseconds an order of the services.

    `answered` and `confirmed` are seconds of each order.
    """

    share: int
    rate: float
    milliseconds: float
    answered: Sequence[float]
    confirmed: Sequence[float]


def main(
    seconds: Annotated[float, typer.Option(min=5, help="How long orders come at each rate.")] = 20.0,
) -> None:
    """Exit with 2 if it could not be measured."""
    with one_line_for_a_person("load"):
        steps = asyncio.run(_measured(seconds))
    table = Table("asked, % of the highest", "orders/s", "CPU, ms", title="orders at rising rates; p50 and p99 in ms")
    for heading in ("POST p50", "POST p99", "confirmed p50", "confirmed p99"):
        table.add_column(heading)
    for step in steps:
        figures = [*_percentiles(step.answered), *_percentiles(step.confirmed)]
        table.add_row(str(step.share), f"{step.rate:.1f}", f"{step.milliseconds:.1f}", *figures)
    table.caption = (
        "orders/s: reached, until the last order is confirmed\nCPU: an order, in the services\n"
        f"100 %: {CLIENTS} customers, each with one order at a time"
    )
    Console(width=120).print(table)
    at_goal = next(step for step in steps if step.share == GOAL_SHARE)
    print(
        f"load: {steps[-1].rate:.0f} orders/s at most, the goal is {GOAL_RATE}; at {at_goal.rate:.0f} orders/s "
        f"POST p50 / p99 {' / '.join(_percentiles(at_goal.answered))} ms, the goal is {GOAL}"
    )


def _percentiles(seconds: Sequence[float]) -> list[str]:
    return [f"{1000 * percentile(seconds, percent):.0f}" for percent in (50, 99)]


def reached(orders: Sequence[Order], confirmed: Mapping[str, float]) -> float:
    """Orders a second, from when the first one was to come until the last one is confirmed."""
    last = max(confirmed[order.order_id] for order in orders)
    return len(orders) / (last - min(order.placed_at for order in orders))


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
        before = self._seconds()
        answered = await (self.customers.place(orders) if rate is None else self.customers.place_at(rate, orders))
        self.placed += orders
        await at_rest(self.ledgers, self.placed)
        spent = self._seconds() - before
        confirmed = await confirmed_at(self.ledgers)
        return Step(
            share=share,
            rate=reached(answered.orders, confirmed),
            milliseconds=1000 * spent / orders,
            answered=answered.seconds,
            confirmed=[confirmed[order.order_id] - order.placed_at for order in answered.orders],
        )

    def _seconds(self) -> float:
        spent = self.system.processor_seconds({service: service for service in SAGA})
        return sum(spent[service] for service in SAGA)


if __name__ == "__main__":
    typer.run(main)
