"""`python -m tools.alarms`: breaks the shop one way at a time, and listens which alarms ring, how soon, which don't.

Prometheus and its alertmanager are the real ones. The rules are those of deploy/observability/alerts.yml with all their
durations and limits in seconds scaled, and a line says by how much. At the end every service is deployed under load.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, NoReturn

import httpx
import typer
from backing_services.waiting import StillWaitingError, eventually
from rich.console import Console
from rich.table import Table
from shop_harness.customers import NoAnswerError
from shop_harness.system import FOR_A_PERSON

from tools.alarms.description import Scale
from tools.alarms.faults import FAULTS, Fault
from tools.alarms.files import FILE, write_rules
from tools.alarms.load import Load
from tools.alarms.programs import ProgramMissingError, program
from tools.alarms.shop import Shop
from tools.alarms.trial import Trial, deployed, healthy, tried
from tools.alarms.watching import Watch

SCALE = Scale(1 / 30)
SCALE_OF_DEPLOYMENTS = Scale(1 / 2)
"""A process takes some seconds to start, which can't be scaled: at the other scale they would be minutes."""
PIPED_WIDTH = 140
"""A file or a pipe has no width of its own."""
console = Console(log_path=False, highlight=False, soft_wrap=True)


def main(
    only: Annotated[list[str] | None, typer.Option(help="Faults whose name has this text; repeatable.")] = None,
    healthy_orders: Annotated[int, typer.Option("--healthy", min=0, help="Orders without a fault, at the end.")] = 300,
    rate: Annotated[float, typer.Option(min=0.5, help="Orders a second.")] = 4,
    *,
    write: Annotated[bool, typer.Option("--write-rules", help=f"Only write {FILE.name} from the description.")] = False,
) -> None:
    """Exit with 1 if an alarm didn't ring, or a wrong one did; with 2 if it could not be tried."""
    if write:
        write_rules()
        return
    chosen = [fault for fault in FAULTS if not only or any(text in fault.name for text in only)]
    if not chosen:
        _fail(f"no fault's name has {' or '.join(map(repr, only or []))}")
    try:
        for name in ("prometheus", "alertmanager"):
            program(name)  # before anything is started
        trials, orders, false = asyncio.run(_run(chosen, healthy_orders, rate))
    except (*FOR_A_PERSON, ProgramMissingError, NoAnswerError, StillWaitingError, httpx.HTTPError) as error:
        _fail(str(error) or type(error).__name__)
    Console(width=None if console.is_terminal else PIPED_WIDTH).print(_table(trials))
    rang = sum(trial.rang_in_time for trial in trials)
    false += sum(len(trial.others) for trial in trials)
    unquiet = [trial.fault.name for trial in trials if trial.clear is None]
    for name in unquiet:
        print(f"alarms: after `{name}` the alarms didn't end")
    print(f"alarms: {rang}/{len(trials)} rang in time, {false} false in {orders} orders")
    sys.exit(bool(rang < len(trials) or false or unquiet))


def _fail(problem: str) -> NoReturn:
    print(f"alarms: {problem}", file=sys.stderr)
    sys.exit(2)


async def _run(faults: Sequence[Fault], healthy_orders: int, rate: float) -> tuple[list[Trial], int, int]:
    async with Shop() as shop, Load.running(shop.ports.url("orders"), rate) as load:
        async with _watching(shop, SCALE) as watch:
            console.print(f"{rate:g} orders a second")
            await eventually(lambda: len(load.placed) > 2 * rate, within=60)
            trials = [await _told(await tried(fault, shop, load, watch, SCALE)) for fault in faults]
            false = await healthy(load, watch, healthy_orders)
        async with _watching(shop, SCALE_OF_DEPLOYMENTS) as watch:
            away, wrong = await deployed(shop, watch, SCALE_OF_DEPLOYMENTS)
            seconds = ", ".join(f"{service} ({each:.1f} s away)" for service, each in away.items())
            rang = ", ".join(sorted(map(str, wrong))) or "nothing"
            console.print(f"deployed under load: {seconds}: {rang} rang")
        return trials, len(load.placed), len(false) + len(wrong)


@asynccontextmanager
async def _watching(shop: Shop, scale: Scale) -> AsyncIterator[Watch]:
    async with Watch.running(shop, scale) as watch:
        console.print(f"rules of {FILE.name}, with a minute lasting {60 * scale.factor:g} s")
        yield watch


async def _told(trial: Trial) -> Trial:
    console.print(f"{trial.fault.name}: {trial.verdict}")
    return trial


def _table(trials: Sequence[Trial]) -> Table:
    table = Table("fault", "alarm", "rang after", "at most", "ended after", "others", title="seconds")
    for trial in trials:
        alarms = ", ".join(sorted({each.alarm for each in trial.fault.rings}))
        others = ", ".join(sorted(map(str, trial.others)))
        also = ", ".join(sorted({each.alarm for each in trial.also}))
        table.add_row(
            trial.fault.name,
            alarms + (f" (and {also})" if also else ""),
            "never" if trial.rang is None else f"{trial.rang:.1f}",
            f"{trial.limit:.0f}",
            "never" if trial.clear is None else f"{trial.clear:.1f}",
            others,
        )
    return table


if __name__ == "__main__":
    typer.run(main)
