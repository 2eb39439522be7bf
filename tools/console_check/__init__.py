"""A person's tasks on the console, in Chromium and against a system that runs; and how fast its pages are."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backing_services.waiting import eventually
from shop_harness.percentiles import percentile

from tests.integration.browser import NARROW, WIDE, Chromium
from tools.browser_files import fetched
from tools.console_check.scene import CUSTOMER, Scene, running
from tools.console_check.tasks import Person, done

if TYPE_CHECKING:
    import httpx

ORDERS_IN_THE_INDEX = 10_000
ROUNDS = 25
GOAL_MS = 200
KNOWN = re.compile(r"The newest of (\d+)")
PAGES = ("/orders", "/orders?page=10", "/orders/rows", "/letters", "/flow", "/mailbox")


@dataclass(frozen=True)
class Outcome:
    """Tasks that were done, what was wrong with a page, and the milliseconds of each answer by page."""

    tasks: int
    faults: Sequence[str]
    milliseconds: dict[str, Sequence[float]]

    @property
    def p95(self) -> float:
        """Of all answers."""
        return percentile([one for each in self.milliseconds.values() for one in each], 95)

    @property
    def is_good(self) -> bool:
        return not self.faults and self.p95 <= GOAL_MS

    @property
    def line(self) -> str:
        said = sum(" says " in fault or " fails with " in fault for fault in self.faults)
        elsewhere = sum(" asks for " in fault for fault in self.faults)
        return (
            f"console: {self.tasks} tasks done in Chromium, {said} console errors, {elsewhere} requests elsewhere, "
            f"p95 {self.p95:.0f} ms"
        )


async def check(chromium: Chromium, folder: Path, *, orders: int = ORDERS_IN_THE_INDEX) -> Outcome:
    """Do all tasks wide and light, and narrow and dark; then ask for the pages with so many orders in the index."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    axe = fetched("axe-core").read_text()
    async with running(folder) as scene:
        tasks, faults = 0, []
        for width, dark in ((WIDE, False), (NARROW, True)):
            async with chromium.visitor(width=width, dark=dark) as visitor:
                tasks += await done(Person(visitor, scene, width, pictures, axe))
            faults += visitor.faults
        return Outcome(tasks, faults, await measured(scene, orders))


async def measured(scene: Scene, orders: int) -> dict[str, Sequence[float]]:
    """Milliseconds of each answer, by page."""
    order = await scene.place()
    await scene.fill(orders)
    async with scene.logged_in() as http:

        async def filled() -> bool:
            known = KNOWN.search((await http.get("/orders")).text)
            return known is not None and int(known[1]) >= orders

        await eventually(filled, within=60, every=0.5)
        await http.get(f"/orders/{order}")
        paths = [*PAGES, f"/orders/{order}", f"/orders?q={CUSTOMER}", "/orders?q=customer77"]
        return {path: [await _timed(http, path) for _ in range(ROUNDS)] for path in paths}


async def _timed(http: "httpx.AsyncClient", path: str) -> float:
    begun = time.perf_counter()
    answer = await http.get(path)
    took = (time.perf_counter() - begun) * 1000
    assert answer.is_success, (path, answer.status_code)
    return took
