"""Cut each process before and after each of its steps, start it again, and hold what came of it to the invariants."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import groupby
from typing import Annotated

import httpx
import typer
from backing_services.choice import KAFKA_KIND
from backing_services.kafka.apache import why_unavailable
from backing_services.waiting import StillWaitingError, eventually
from outboxed import failpoints
from outboxed.settings import KafkaSettings
from outboxed.testing.topics import Topics
from shop_harness.ledgers import Ledgers
from shop_harness.system import Ports

from tools.crash_points.evidence import Witness, at_rest
from tools.crash_points.invariants import Case, broken, stray_dead_letters
from tools.crash_points.points import POINTS, Cut, Point, cuts_of, steps_without_a_point
from tools.crash_points.roles import NotReachedError
from tools.crash_points.scenarios import PATIENCE, Storyteller
from tools.crash_points.system import Stage

ALONE = "notifications worker"
"""Cut when all else is at rest: else it isn't only its own order's e-mail that may come twice."""


def main(only: Annotated[str, typer.Option(help="Points that have this in their name.")] = "") -> None:
    """Exit with 1 if an invariant fell, with 2 if the harness is at fault."""
    points = [point for point in POINTS if only in str(point)]
    if not points:
        sys.exit(f"crash-points: no point has {only!r} in its name")
    if left_out := steps_without_a_point():
        print(f"crash-points: no point for {', '.join(left_out)}", file=sys.stderr)
        sys.exit(2)
    if why_unavailable() is None:
        os.environ.setdefault(KAFKA_KIND, "process")
    violations, at_fault = 0, False
    try:
        violations = asyncio.run(count_violations(points))
    except* StillWaitingError as stuck:
        violations = len(stuck.exceptions)
        for error in stuck.exceptions:
            say(f"VIOLATION {error}")
    except* NotReachedError as faults:
        at_fault = True
        for fault in faults.exceptions:
            print(f"crash-points: {fault}", file=sys.stderr)
    if at_fault:
        sys.exit(2)
    print(f"crash-points: {len(points)} points, {2 * len(points)} cuts, {violations} violations")
    sys.exit(violations > 0)


async def count_violations(points: Sequence[Point]) -> int:
    """Cut at each point, print what fell, and count it."""
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(Stage(Ports.free(), say, rate_limit_per_minute=0))
        ledgers = await stack.enter_async_context(Ledgers(stage))
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"{stage.ports.url('orders')}/api/v1", timeout=10)
        )
        topics = Topics(KafkaSettings(stage.kafka.bootstrap_servers))
        witness = Witness(stage, ledgers, http, topics)
        matrix = Matrix(stage, witness, Storyteller(http, stage.ports.url("mailbox"), topics, witness.status_of))
        await matrix.cut_all(points)
        return await matrix.judge()


def say(line: str) -> None:
    """Tell a person."""
    print(line, flush=True)


class Matrix:
    """Cuts, and the cases that they left."""

    def __init__(self, stage: Stage, witness: Witness, storyteller: Storyteller) -> None:
        self._stage = stage
        self._witness = witness
        self._storyteller = storyteller
        self._cases: list[Case] = []

    async def cut_all(self, points: Sequence[Point]) -> None:
        """One process's cuts come one after the other, side by side with the other processes'."""
        by_process = sorted(points, key=lambda point: point.process)
        lanes = {process: list(cuts_of(list(own))) for process, own in groupby(by_process, lambda point: point.process)}
        alone = lanes.pop(ALONE, [])
        async with asyncio.TaskGroup() as group:
            for cuts in lanes.values():
                group.create_task(self._cut_in_turn(cuts))
        for cut in alone:
            await at_rest(self._witness, within=PATIENCE)
            await self._cut(cut)

    async def judge(self) -> int:
        """Print what fell and count it."""
        evidence = await at_rest(self._witness, within=PATIENCE)
        fallen = [f"{case.cut}: {invariant}" for case in self._cases for invariant in broken(case, evidence)]
        fallen += [f"after all cuts: {invariant}" for invariant in stray_dead_letters(self._cases, evidence)]
        for line in fallen:
            say(f"VIOLATION {line}")
        return len(fallen)

    async def _cut_in_turn(self, cuts: Sequence[Cut]) -> None:
        for cut in cuts:
            await self._cut(cut)

    async def _cut(self, cut: Cut) -> None:
        begun = time.monotonic()
        role, process = self._stage.roles[cut.point.process], cut.point.process
        told = await self._storyteller.prepare(cut.point.story)
        # its work waits for it: it shall come to the point with this order, not with nothing to do
        await role.stop()
        telling = asyncio.create_task(self._storyteller.tell(told))
        try:
            await eventually(lambda: self._witness.has_work(process), within=PATIENCE, every=0.1)
            await role.end_at({failpoints.VARIABLE: cut.failpoint})
            await role.start()
            await telling
            again = await self._storyteller.order_again(told)
        except StillWaitingError as error:
            raise StillWaitingError(f"{cut}: the shop goes on: {error}") from None
        finally:
            telling.cancel()
        self._cases.append(Case(cut, told, again))
        say(f"{cut}, {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    typer.run(main)
