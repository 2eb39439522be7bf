"""`python -m tools.bench_saga`: the product beside other builds of the same saga, on the same servers.

The naive build stores, commits and then publishes, and charges and sends e-mails in its subscribers: it has no outbox,
no inbox and no tasks. The build with DBOS has durable workflows, and is measured where DBOS can be installed. The
builds take turns; only one runs at a time. Then payments of each is killed again and again.
"""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from shop_harness.ledgers import Ledgers
from shop_harness.services import SAGA

from tools.bench_saga.builds import BUILDS, DBOS, PRODUCT, Build, SagaSystem
from tools.bench_saga.trials import KILLS, Harm, Trials, Turn
from tools.measuring.unmeasured import one_line_for_a_person

Turns = Mapping[str, Sequence[Turn]]
Harms = Mapping[str, Harm]


def main(
    orders: Annotated[int, typer.Option(min=16, help="Orders of a turn, and of the kills.")] = 500,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each build.")] = 3,
) -> None:
    """Exit with 2 if it could not be measured."""
    with one_line_for_a_person("saga"), tempfile.TemporaryDirectory(prefix="bench-saga-") as folder:
        turns, harms = asyncio.run(_measured(Path(folder), orders, rounds))
    console = Console()
    console.print(_costs(turns))
    print()
    console.print(_harm(harms, orders))
    if DBOS.name not in turns:
        print(f"{DBOS.needs} can't be installed here, and isn't measured")
    print(_last_line(turns, harms))


async def _measured(folder: Path, orders: int, rounds: int) -> tuple[Turns, Harms]:
    builds = [build for build in BUILDS if build.can_run]
    turns: dict[str, list[Turn]] = {build.name: [] for build in builds}
    async with SagaSystem(folder) as system, Ledgers(system) as ledgers:
        trials = Trials(system, ledgers)
        for build in builds * rounds:
            turn = await trials.load(build, orders)
            turns[build.name].append(turn)
            print(
                f"{build.name}: {turn.services:.1f} ms in the services, {turn.orders_a_second:.1f} orders/s", flush=True
            )
        return turns, {build.name: await trials.kills(build, orders) for build in builds}


def _costs(turns: Turns) -> Table:
    table = Table("", *turns, title="medians of all turns; CPU is milliseconds an order")
    for name in (*SAGA, "services", *_others(turns), "all"):
        table.add_row(name, *(f"{_cpu(turns[build], name):.1f}" for build in turns))
    table.add_row("orders/s", *(f"{_rate(turns[build]):.1f}" for build in turns))
    table.add_row("POST p50, ms", *(f"{1000 * median(turn.p50 for turn in turns[build]):.0f}" for build in turns))
    table.add_row("POST p99, ms", *(f"{1000 * median(turn.p99 for turn in turns[build]):.0f}" for build in turns))
    return table


def _harm(harms: Harms, orders: int) -> Table:
    table = Table("", *harms, title=f"payments killed during {orders} orders")
    table.add_row("kills", *(str(harm.kills) for harm in harms.values()))
    table.add_row("orders never charged", *(str(harm.never_charged) for harm in harms.values()))
    table.add_row("charges too many", *(str(harm.charged_too_often) for harm in harms.values()))
    table.add_row("orders never told by e-mail", *(str(harm.never_told) for harm in harms.values()))
    table.add_row("e-mails too many", *(str(harm.mails_too_many) for harm in harms.values()))
    return table


def _last_line(turns: Turns, harms: Harms) -> str:
    ours = _cpu(turns[PRODUCT.name], "services")
    others = [build for build in BUILDS if build is not PRODUCT and build.name in turns]
    theirs = [_beside(build, _cpu(turns[build.name], "services"), ours) for build in others]
    harm = [_told(build, harms[build.name]) for build in BUILDS if build.name in harms]
    return (
        f"saga: product costs {ours:.1f} ms of CPU an order, {', '.join(theirs)}, "
        f"{_rate(turns[PRODUCT.name]):.0f} orders/s; {KILLS} kills: {'; '.join(harm)}"
    )


def _beside(build: Build, milliseconds: float, ours: float) -> str:
    return f"{build.name} {milliseconds:.1f} ms (ratio {ours / milliseconds:.2f})"


def _told(build: Build, harm: Harm) -> str:
    fewer = "" if harm.kills == KILLS else f" (in {harm.kills} kills, then nothing was left to charge)"
    return f"{build.name} lost {harm.lost}, doubled {harm.doubled}{fewer}"


def _others(turns: Turns) -> Sequence[str]:
    return [name for name in turns[PRODUCT.name][0].milliseconds if name not in SAGA]


def _cpu(turns: Sequence[Turn], name: str) -> float:
    """The median; "services" is the three in sum, "all" everything."""
    if name == "services":
        return median(turn.services for turn in turns)
    if name == "all":
        return median(sum(turn.milliseconds.values()) for turn in turns)
    return median(turn.milliseconds[name] for turn in turns)


def _rate(turns: Sequence[Turn]) -> float:
    return median(turn.orders_a_second for turn in turns)


if __name__ == "__main__":
    typer.run(main)
