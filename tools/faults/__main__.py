"""`python -m tools.faults`: orders through kills, outages, duplicates and poison, judged by ledgers outside."""

import asyncio
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import typer
from backing_services.faults import FaultError, Planned, planned, play
from rich.console import Console
from rich.table import Table
from shop_harness.customers import NoAnswerError
from shop_harness.evidence import Evidence
from shop_harness.ledgers import Ledgers
from shop_harness.rules import ARRIVES, CHARGED_ONCE, DOCUMENTED, ENDS, IS_STORED, MAIL_RULES, RULES, Rule, broken
from shop_harness.system import FOR_A_PERSON

from tools.faults.aftermath import AFTERMATH, Aftermath, back_up_payments
from tools.faults.customers import Customers
from tools.faults.evidence import Injected, calm, evidence_at_rest
from tools.faults.injector import Injector
from tools.faults.recoveries import table_of, too_slow
from tools.faults.system import POOLED, ProxiedSystem

HARNESS_ERRORS = (*FOR_A_PERSON, FaultError, NoAnswerError)
SHOWN = 10
MANY_CONNECTIONS = httpx.Limits(max_connections=None, max_keepalive_connections=50)
"""After an outage all customers ask at once, and none may wait for another's connection."""
ANSWER_LIMIT = 10.0
"""Longer than orders waits for a connection (5 s): customers who give up early and ask again add to the load."""
STORM_TIME, MEASURED_KILLS, QUIET_RATE = 0.4, 0.35, 0.4
"""The storm's share of the time; the share of the kills that are measured one at a time; the share of the rate during
the measurements. At the full rate, a busy machine would show the length of its queue, not how soon it recovers."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(log_path=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Run:
    """The options of a run; times in seconds, the rate in orders a second."""

    seed: int
    orders: int
    rate: float
    replicas: int
    kills: int
    stuck: float
    measure: bool

    @property
    def measured_kills(self) -> int:
        """The kills that happen one at a time."""
        return int(self.kills * MEASURED_KILLS) if self.measure else 0

    @property
    def storm_orders(self) -> int:
        """The orders that are placed in the storm; the others are placed while recoveries are measured."""
        return round(self.orders * STORM_TIME / _mean_rate(measure=True)) if self.measure else self.orders


def _mean_rate(*, measure: bool) -> float:
    """The mean rate of a whole run, as a share of the storm's rate."""
    return STORM_TIME + (1 - STORM_TIME) * QUIET_RATE if measure else 1.0


@app.command()
def main(  # noqa: PLR0913, PLR0917 - one argument for each option
    orders: Annotated[int, typer.Option(min=100, help="So many orders in all.")] = 2000,
    seed: Annotated[int | None, typer.Option(help="Repeats a plan; a new one unless given.")] = None,
    rate: Annotated[float, typer.Option(min=1, help="Orders a second in the storm, unless --minutes is given.")] = 10,
    minutes: Annotated[float | None, typer.Option(min=1, help="How long all the orders take.")] = None,
    replicas: Annotated[int, typer.Option(min=1, max=5, help="Processes of each service.")] = 2,
    kills: Annotated[int, typer.Option(min=1, help="SIGKILLs to services; other faults in proportion.")] = 32,
    stuck: Annotated[
        float, typer.Option(help="Seconds without progress until the end; back-off takes up to 60.")
    ] = 120,
    *,
    measure: Annotated[bool, typer.Option(help="After the storm, measure recoveries, one fault at a time.")] = True,
) -> None:
    """Exit with 1 if a rule was broken, with 2 if the harness itself is at fault."""
    seed = random.randrange(10_000) if seed is None else seed  # noqa: S311 - a plan, not a secret
    if minutes:
        rate = orders / (minutes * 60 * _mean_rate(measure=measure))
    run = Run(seed, orders, rate, replicas, kills, stuck, measure=measure)
    console.print(f"faults: --seed {seed} repeats this plan: {orders} orders, {rate:.1f} a second, {replicas} replicas")
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    folder.chmod(0o755)
    try:
        fallen = asyncio.run(_run(folder, run))
    except* HARNESS_ERRORS as errors:
        for error in _leaves(errors):
            print(f"faults: {error}", file=sys.stderr)
        print(f"faults: the logs are in {folder}", file=sys.stderr)
        sys.exit(2)
    if fallen:
        print(f"faults: {fallen} rules fell; the logs are in {folder}", file=sys.stderr)
        sys.exit(1)
    shutil.rmtree(folder)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


async def _run(folder: Path, run: Run) -> int:
    injected = Injected()

    def died(name: str, status: int) -> None:
        if status != -9:
            injected.deaths.append(f"{name} ended with status {status}")

    async with (
        ProxiedSystem(folder, replicas=run.replicas, died=died) as system,
        httpx.AsyncClient(limits=MANY_CONNECTIONS, timeout=ANSWER_LIMIT, trust_env=False) as http,
    ):
        if system.pooler is not None:
            console.print(f"the database of {POOLED} is behind PgBouncer in transaction mode")
        for fault, why in system.missing.items():
            console.print(f"not injected here: {fault}: {why}")
            if "faults" in os.environ.get("REQUIRE", ""):
                raise FaultError(f"REQUIRE={os.environ['REQUIRE']}, but there is no {fault}: {why}")
        customers = Customers(system.of("orders"), http, system.ports.url("mail_catcher"), run.seed)
        faults = Injector(system, customers, http, injected)
        await faults.begin()
        await customers.register()
        await _storm(run, faults, customers)
        await calm(system)
        console.print("the storm is over; a backup of payments' database is made, to be restored at the end")
        backed_up_at = await back_up_payments(system)
        if run.measure:
            console.print("from now on one fault at a time")
            await calm(system)
            await _measure(run, faults, customers)
        console.print("all orders are placed and all faults are over; waiting until nothing moves")
        async with Ledgers(system) as ledgers:  # opened only now, because connections don't outlive a server
            evidence = await evidence_at_rest(
                ledgers, customers, injected, lambda: folder.glob("notifications*.log"), stuck_after=run.stuck
            )
            fallen = _judge(evidence)
            if run.measure:
                console.print(table_of(faults.recoveries))
                fallen += len(too_slow(faults.recoveries))
            if not fallen:
                fallen += await _aftermath(Aftermath(system, ledgers, evidence, injected, customers, backed_up_at))
    console.print(_line(evidence), style="bold")
    return fallen


async def _storm(run: Run, faults: Injector, customers: Customers) -> None:
    plan = planned(faults.storm(kills=run.kills - run.measured_kills), seed=run.seed, over=run.storm_orders / run.rate)
    async with asyncio.TaskGroup() as group:
        group.create_task(customers.place(run.storm_orders, rate=run.rate))
        await play(plan, _tell)
    await faults.end()


async def _measure(run: Run, faults: Injector, customers: Customers) -> None:
    orders, rate = run.orders - run.storm_orders, run.rate * QUIET_RATE
    plan = planned(faults.measured(kills=run.measured_kills), seed=run.seed, over=orders / rate)
    async with asyncio.TaskGroup() as group:
        group.create_task(customers.place(orders - len(plan), rate=rate))  # each measurement places one order
        await faults.measure(plan, _tell)


def _tell(seconds: float, one: Planned, words: str) -> None:
    console.print(f"{seconds:6.1f} s  {one.fault.name}: {words}", style="dim")


def _judge(evidence: Evidence) -> int:
    table = Table("rule", "looked at", "broken", title="what the ledgers say")
    fallen: list[tuple[Rule, list[str]]] = []
    for rule in RULES:
        breaches = list(rule.breaches(evidence))
        if not breaches and not rule.checked(evidence):
            breaches = ["it looked at nothing, so it proves nothing"]
        table.add_row(rule.sentence, str(rule.checked(evidence)), str(len(breaches)), style="red" if breaches else None)
        if breaches:
            fallen.append((rule, breaches))
    console.print(table)
    for rule, breaches in fallen:
        console.print(f"FELL: {rule.sentence}", style="red")
        for sentence in breaches[:SHOWN]:
            console.print(f"  {sentence}")
        if len(breaches) > SHOWN:
            console.print(f"  and {len(breaches) - SHOWN} more")
    return len(fallen)


async def _aftermath(aftermath: Aftermath) -> int:
    problems: list[str] = []
    for title, deed in AFTERMATH.items():
        found = await deed(aftermath)
        console.print(
            f"{'FELL: ' if found else ''}{title}: {'; '.join(found) or 'yes'}", style="red" if found else None
        )
        problems += found
    return len(problems)


def _line(evidence: Evidence) -> str:
    def breaches(*rules: Rule) -> int:
        return len(list(broken(rules, evidence)))

    return (
        f"faults: {len(evidence.answered)} orders, {evidence.settled} terminal, "
        f"{breaches(IS_STORED, ENDS, ARRIVES)} lost, {breaches(CHARGED_ONCE)} double charges, "
        f"{breaches(*MAIL_RULES)} wrong e-mails, {evidence.kills} kills, "
        f"{len(set(evidence.dead_letters) & evidence.poison)}/{len(evidence.poison)} dead letters as injected, "
        f"outbox {len(evidence.unsent_events)}, lag {sum(evidence.lag.values())}, "
        f"{breaches(DOCUMENTED)} undocumented records"
    )


if __name__ == "__main__":
    app()
