"""`python -m tools.dashboards`: writes the dashboards' files, or says which panels are empty in a shop under load.

Prometheus is the real one. The shop goes wrong in a few ways meanwhile, one after the other, so that the panels about
what goes wrong have something to show.
"""

import asyncio
import sys
from collections.abc import Sequence
from time import time
from typing import Annotated, NoReturn

import httpx
import typer
from backing_services.waiting import StillWaitingError, eventually
from shop_harness.customers import NoAnswerError
from shop_harness.services import ROOT
from shop_harness.system import FOR_A_PERSON

from tools.alarms.description import Scale
from tools.alarms.faults import FAULTS, Fault
from tools.alarms.load import Load
from tools.alarms.programs import ProgramMissingError, program
from tools.alarms.shop import Shop
from tools.alarms.trial import limit_of
from tools.alarms.watching import LOOK_SECONDS, Watch
from tools.dashboards.asking import Asked, asked
from tools.dashboards.files import FOLDER, write

SCALE = Scale(1 / 30)
"""So that an alarm rings after seconds: there is a panel for those that do."""
RATE = 4
SHOWN = (
    "all cards are declined",
    "the gateway answers 500",
    "poison in the topic orders",
    "an event that can't be sent",
    "the catalogue can't be read",
    "no refund is made",
)
"""The faults of `make alarms` that the panels about errors show."""
COMES_WITHIN = 20.0
"""Seconds until the last figures have come to Prometheus, and a rate has two points."""


def main(
    *,
    check: Annotated[bool, typer.Option("--check", help="Ask each panel's question of a shop under load.")] = False,
) -> None:
    """Exit with 1 if a panel is empty; with 2 if it could not be asked."""
    if not check:
        write()
        print(f"dashboards: written to {FOLDER.relative_to(ROOT)}")
        return
    try:
        for name in ("prometheus", "alertmanager"):
            program(name)  # before anything is started
        panels = asyncio.run(_checked())
    except (*FOR_A_PERSON, ProgramMissingError, NoAnswerError, StillWaitingError, httpx.HTTPError) as error:
        _fail(str(error) or type(error).__name__)
    empty = [panel for panel in panels if panel.wrong]
    for panel in empty:
        print(f"dashboards: {panel}")
    print(f"dashboards: {len(panels)} panels, {len(empty)} empty")
    sys.exit(bool(empty))


def _fail(problem: str) -> NoReturn:
    print(f"dashboards: {problem}", file=sys.stderr)
    sys.exit(2)


async def _checked() -> Sequence[Asked]:
    begun = time()
    async with (
        Shop() as shop,
        Watch.running(shop, SCALE) as watch,
        Load.running(shop.ports.url("orders"), RATE) as load,
    ):
        await eventually(lambda: len(load.placed) > 5 * RATE, within=60)
        for fault in (fault for fault in FAULTS if fault.name in SHOWN):
            print(f"dashboards: {fault.name}")
            await _until_it_rings(fault, shop, load, watch)
        return await _last(watch, begun)


async def _until_it_rings(fault: Fault, shop: Shop, load: Load, watch: Watch) -> None:
    async with fault.broken(shop, load):

        async def rings() -> bool:
            return await watch.ringing() >= set(fault.rings)

        await eventually(rings, within=limit_of(fault, SCALE), every=LOOK_SECONDS, describe=f"an alarm: {fault.name}")


async def _last(watch: Watch, since: float) -> Sequence[Asked]:
    """The answers as soon as all have figures, or those at the end of the time."""
    clock = asyncio.get_running_loop().time
    until = clock() + COMES_WITHIN
    panels = await asked(watch, since)
    while any(panel.wrong for panel in panels) and clock() < until:
        await asyncio.sleep(LOOK_SECONDS)
        panels = await asked(watch, since)
    return panels


if __name__ == "__main__":
    typer.run(main)
