"""Kill each process before and after each of its steps, start it again, and judge the outcome by the rules."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import groupby
from typing import Annotated

import httpx
import typer
from backing_services.choice import KAFKA_KIND
from backing_services.kafka.apache import why_unavailable
from backing_services.postgres import connected
from backing_services.waiting import StillWaitingError, eventually
from outboxed import failpoints
from outboxed.settings import KafkaSettings, parse_bootstrap_servers
from outboxed.testing.topics import Topics
from shop_harness.customers import API, NoAnswerError
from shop_harness.ledgers import Ledgers, at_rest
from shop_harness.rules import RULES, broken
from shop_harness.system import FOR_A_PERSON, Ports

from tools.crash_points.evidence import Case, judged, unlike_its_scenario
from tools.crash_points.points import POINTS, SIDES, Crash, Point, steps_without_a_point
from tools.crash_points.roles import NotReachedError
from tools.crash_points.scenarios import PATIENCE, REFUSING, ScenarioRunner
from tools.crash_points.system import SystemByRole

say = partial(print, flush=True)
ALONE = "notifications worker"
"""This process crashes when all others are at rest; else e-mails of other orders may come twice, too."""


def main(only: Annotated[str, typer.Option(help="Points that have this in their name.")] = "") -> None:
    """Exit with 1 if a rule was broken, with 2 if the harness is at fault."""
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
    except* (NotReachedError, *FOR_A_PERSON) as faults:
        at_fault = True
        for fault in faults.exceptions:
            print(f"crash-points: {fault}", file=sys.stderr)
    if at_fault:
        sys.exit(2)
    print(f"crash-points: {len(points)} points, {2 * len(points)} crashes, {violations} violations")
    sys.exit(violations > 0)


async def count_violations(points: Sequence[Point]) -> int:
    """Crash at each point; print and count the violations."""
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(SystemByRole(Ports.free(), say))
        async with connected(system.database_url("payments")) as database:
            await database.execute(REFUSING)
        ledgers = await stack.enter_async_context(Ledgers(system))
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"{system.ports.url('orders')}{API}", timeout=10, trust_env=False)
        )
        topics = Topics(KafkaSettings(parse_bootstrap_servers(system.kafka.bootstrap_servers)))
        runner = ScenarioRunner(
            http, system.ports.url("mail_catcher"), topics, system.status_of, system.put_unsendable_row
        )
        matrix = Matrix(system, ledgers, runner)
        await matrix.crash_at_all(points)
        return await matrix.judge()


class Matrix:
    """The crashes, and the cases that result from them."""

    def __init__(self, system: SystemByRole, ledgers: Ledgers, runner: ScenarioRunner) -> None:
        self._system = system
        self._ledgers = ledgers
        self._runner = runner
        self._cases: list[Case] = []

    async def crash_at_all(self, points: Sequence[Point]) -> None:
        """Crashes of one process come one after another; different processes crash in parallel."""
        by_process = sorted(points, key=lambda point: point.process)
        lanes = {
            process: [Crash(point, side) for point in own for side in SIDES]
            for process, own in groupby(by_process, lambda point: point.process)
        }
        alone = lanes.pop(ALONE, [])
        async with asyncio.TaskGroup() as group:
            for crashes in lanes.values():
                group.create_task(self._crash_in_turn(crashes))
        for crash in alone:
            await self._at_rest()
            await self._crash(crash)

    async def judge(self) -> int:
        """Print and count the violations."""
        await self._at_rest()
        evidence = judged(await self._ledgers.read_all(), self._cases)
        fallen = [f"{case.crash}: {fall}" for case in self._cases for fall in unlike_its_scenario(case, evidence)]
        crashes = {case.trial.order_id: case.crash for case in self._cases}
        for fall in broken(RULES, evidence):
            culprit = next((crash for order_id, crash in crashes.items() if order_id in fall), "after all crashes")
            fallen.append(f"{culprit}: {fall}")
        for line in fallen:
            say(f"VIOLATION {line}")
        return len(fallen)

    async def _at_rest(self) -> None:
        await at_rest(self._ledgers.read_with_lag, looks=2, stuck_after=PATIENCE, every=0.5)

    async def _crash_in_turn(self, crashes: Sequence[Crash]) -> None:
        for crash in crashes:
            await self._crash(crash)

    async def _crash(self, crash: Crash) -> None:
        begun = time.monotonic()
        role, process = self._system.roles[crash.point.process], crash.point.process
        trial = await self._runner.prepare(crash.point.scenario)
        # stopped, so that work waits: the process must reach the point with this order, not while idle
        await role.stop()
        running = asyncio.create_task(self._runner.run(trial))
        try:
            await eventually(lambda: self._system.has_work(process), within=PATIENCE, every=0.1)
            await role.end_at({failpoints.VARIABLE: crash.failpoint})
            await role.start()
            await running
            again = await self._runner.order_again(trial)
        except (NoAnswerError, StillWaitingError) as error:
            raise StillWaitingError(f"{crash}: the shop goes on: {error}") from None
        finally:
            running.cancel()
        self._cases.append(Case(crash, trial, again))
        say(f"{crash}, {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    typer.run(main)
