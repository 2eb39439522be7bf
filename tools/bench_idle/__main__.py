"""`python -m tools.bench_idle`: what each service takes while there is nothing to do, after it has had something.

Statements are counted on their way to PostgreSQL; BEGIN and COMMIT are none.
"""

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from shop_harness.ledgers import Ledgers
from shop_harness.services import SERVICES
from shop_harness.system import Ports

from tools.measuring.counted import CountedSystem, statements_of
from tools.measuring.load import Customers
from tools.measuring.system import at_rest
from tools.measuring.unmeasured import one_line_for_a_person

ORDERS = 40
QUIET_AFTER = 10.0
"""Seconds after the last order's work: twice a loop's longest pause."""
GOAL, GOAL_EACH, GOAL_STATEMENTS = 3.0, 1.0, 1.0
AT_MOST, AT_MOST_STATEMENTS = 3.0, 1.5
"""Per cent of a core for the three together, and statements a second of the busiest."""


@dataclass(frozen=True)
class Rest:
    """CPU seconds a second of each process, and statements a second of each service."""

    processor: Mapping[str, float]
    statements: Mapping[str, float]

    @property
    def together(self) -> float:
        """Per cent of a core that the services take."""
        return 100 * sum(self.processor[service] for service in SERVICES)


def main(seconds: Annotated[float, typer.Option(min=10, help="How long nothing is done.")] = 60.0) -> None:
    """Exit with 1 if rest costs more than AT_MOST or AT_MOST_STATEMENTS, with 2 if it could not be measured."""
    with one_line_for_a_person("idle"), tempfile.TemporaryDirectory(prefix="bench-idle-") as folder:
        rest = asyncio.run(_measured(Path(folder), seconds))
    table = Table("", "CPU, % of a core", "statements/s", title=f"{seconds:.0f} s without an order")
    for name, share in rest.processor.items():
        asked = f"{rest.statements[name]:.2f}" if name in rest.statements else ""
        table.add_row(name, f"{100 * share:.2f}", asked)
    Console().print(table)
    most, busiest = max(rest.processor[service] for service in SERVICES), max(rest.statements.values())
    print(
        f"idle: the services take {rest.together:.2f} % of a core together, at most {AT_MOST}, the goal is {GOAL}; "
        f"each {100 * most:.2f} % or less, the goal is {GOAL_EACH}, and {busiest:.2f} statements/s or fewer, "
        f"at most {AT_MOST_STATEMENTS}, the goal is {GOAL_STATEMENTS}"
    )
    sys.exit(rest.together > AT_MOST or busiest > AT_MOST_STATEMENTS)


async def _measured(folder: Path, seconds: float) -> Rest:
    async with CountedSystem(Ports.free(), lambda _: None, folder=folder) as system, Ledgers(system) as ledgers:
        async with Customers.of(system.ports.url("orders"), 1) as customers:
            await customers.place(ORDERS)
        await at_rest(ledgers, ORDERS)
        await asyncio.sleep(QUIET_AFTER)
        begun, before, asked = perf_counter(), _processor(system), system.traffic
        await asyncio.sleep(seconds)
        took, after, traffic = perf_counter() - begun, _processor(system), system.traffic
        return Rest(
            {name: (after[name] - before[name]) / took for name in after},
            {service: statements_of(traffic[service] - asked[service]) / took for service in SERVICES},
        )


def _processor(system: CountedSystem) -> Mapping[str, float]:
    """Without this process: its load is over, and the proxies are no part of the shop."""
    spent = system.processor_seconds({service: service for service in SERVICES})
    return {name: seconds for name, seconds in spent.items() if name != "load"}


if __name__ == "__main__":
    typer.run(main)
