"""One run: orders one at a time and counted, then many at once and counted, then many at once on the direct way."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from shop_harness.ledgers import Ledgers
from shop_harness.services import SERVICES
from shop_harness.system import Ports

from tools.measuring.calibration import calibrating
from tools.measuring.counted import CountedSystem, statements_of
from tools.measuring.load import Customers
from tools.measuring.system import at_rest
from tools.measuring.wire import Transaction
from tools.price.figures import Counts, apart, shapes_of

CLIENTS = 16
WARM_UP = 40
PARTS = 8
"""Loads that CPU is measured in, of a quarter of the orders each."""
REST_SECONDS = 12.0
"""A connection that does nothing tells of its write-ahead log after 10 s. Source: PGSTAT_IDLE_INTERVAL, pgstat.c."""
WAL = """
select datname, sum(written.wal_bytes)::float8 as bytes
from pg_stat_activity, pg_stat_get_backend_wal(pid) as written
where datname = any($1) group by datname
"""

Traffic = Mapping[str, Counter[Transaction]]


@dataclass(frozen=True)
class Counted:
    """Counts by service, statements of looks for nothing that an order adds to those at rest, and idle statements/s."""

    services: Mapping[str, Counts]
    looks: Mapping[str, float]
    idle: Mapping[str, float]

    @property
    def total(self) -> Counts:
        return Counts.sum_of(self.services.values())


@dataclass(frozen=True)
class Processor:
    """CPU by process: milliseconds an order; without what rest costs; and this as a ratio to the calibration.

    Each is the median of the parts. A part's ratio is to what the calibration cost beside it.
    """

    milliseconds: Mapping[str, float]
    net: Mapping[str, float]
    ratios: Mapping[str, float]
    orders_a_second: float
    calibration: float


@dataclass(frozen=True)
class Measured:
    paced: Counted
    saturated: Counted
    processor: Processor | None


@dataclass(frozen=True)
class _Part:
    milliseconds: Mapping[str, float]
    net: Mapping[str, float]
    orders_a_second: float
    calibration: float


@dataclass(frozen=True)
class _Reading:
    """Everything that is counted, at one moment."""

    traffic: Traffic
    wal: Mapping[str, float]
    at: float

    def since(self, before: "_Reading") -> "_Reading":
        traffic = {service: self.traffic[service] - before.traffic[service] for service in SERVICES}
        wal = {service: self.wal[service] - before.wal[service] for service in SERVICES}
        return _Reading(traffic, wal, self.at - before.at)


async def measured(folder: Path, *, paced: int, saturated: int, cpu: bool = True) -> Measured:
    """Measure with so many orders; `processor` is None without `cpu`.

    Raises what a System raises, LoadError, NoAnswerError, StillWaitingError.
    """
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(CountedSystem(Ports.free(), lambda _: None, folder=folder))
        run = Run(system, await stack.enter_async_context(Ledgers(system)))
        url = system.ports.url("orders")
        one = await stack.enter_async_context(Customers.of(url, 1))
        many = await stack.enter_async_context(Customers.of(url, CLIENTS))
        await system.administer("alter system set autovacuum = off", "select pg_reload_conf()", "checkpoint")
        await run.one_by_one(one, WARM_UP)
        print(f"counting {paced} orders, one at a time", flush=True)
        counted_one_by_one = await run.counted(run.one_by_one(one, paced), paced)
        await run.together(many, WARM_UP)
        print(f"counting {saturated} orders, {CLIENTS} at once", flush=True)
        counted_together = await run.counted(run.together(many, saturated), saturated)
        if not cpu:
            return Measured(counted_one_by_one, counted_together, None)
        system.is_counted = False
        await system.administer("alter system reset autovacuum", "select pg_reload_conf()")
        await system.restart_services()
        await run.together(many, 2 * WARM_UP)
        print(f"measuring CPU over {saturated} orders, {CLIENTS} at once", flush=True)
        return Measured(counted_one_by_one, counted_together, await run.processor(many, saturated))


@dataclass
class Run:
    """The system, and how many orders it has had."""

    system: CountedSystem
    ledgers: Ledgers
    placed: int = 0

    async def one_by_one(self, customers: Customers, orders: int) -> None:
        """Place so many orders, each when everything is at rest after the one before."""
        for _ in range(orders):
            await self.together(customers, 1)

    async def together(self, customers: Customers, orders: int) -> None:
        """Place so many orders, and wait until everything is at rest."""
        await customers.place(orders)
        self.placed += orders
        await at_rest(self.ledgers, self.placed)

    async def counted(self, work: Coroutine[Any, Any, None], orders: int) -> Counted:
        """What some work costs that places so many orders; what the services ask at rest doesn't count."""
        begun = await self._read()
        await asyncio.sleep(REST_SECONDS)
        rested = await self._read()
        await work
        await asyncio.sleep(REST_SECONDS)
        rest, whole = rested.since(begun), (await self._read()).since(rested)
        counts, looks, idle = {}, {}, {}
        for service in SERVICES:
            done, looked = apart(whole.traffic[service], shapes_of(rest.traffic[service]))
            counts[service] = Counts.of(done, wal_bytes=whole.wal[service], orders=orders)
            idle[service] = statements_of(rest.traffic[service]) / rest.at
            looks[service] = (statements_of(looked) - idle[service] * whole.at) / orders
        return Counted(counts, looks, idle)

    async def processor(self, customers: Customers, orders: int) -> Processor:
        """CPU an order under full load, and how many orders a second that is."""
        async with calibrating() as pieces:
            idle = await self._seconds_a_second_at_rest()
            parts = [await self._part(customers, orders // 4, idle, pieces) for _ in range(PARTS)]
        return Processor(
            milliseconds=_medians([part.milliseconds for part in parts]),
            net=_medians([part.net for part in parts]),
            ratios=_medians([{name: cost / part.calibration for name, cost in part.net.items()} for part in parts]),
            orders_a_second=median(part.orders_a_second for part in parts),
            calibration=median(part.calibration for part in parts),
        )

    async def _part(
        self, customers: Customers, orders: int, idle: Mapping[str, float], pieces: Sequence[float]
    ) -> _Part:
        before, begun, earlier = self._processor_seconds(), perf_counter(), len(pieces)
        await self.together(customers, orders)
        took, after = perf_counter() - begun, self._processor_seconds()
        spent = {name: after[name] - before[name] for name in after}
        return _Part(
            milliseconds={name: 1000 * seconds / orders for name, seconds in spent.items()},
            net={name: 1000 * (seconds - idle[name] * took) / orders for name, seconds in spent.items()},
            orders_a_second=orders / took,
            calibration=median(pieces[earlier:]),
        )

    async def _seconds_a_second_at_rest(self) -> Mapping[str, float]:
        before, begun = self._processor_seconds(), perf_counter()
        await asyncio.sleep(REST_SECONDS)
        took, after = perf_counter() - begun, self._processor_seconds()
        return {name: (after[name] - before[name]) / took for name in after}

    def _processor_seconds(self) -> Mapping[str, float]:
        return self.system.processor_seconds({service: service for service in SERVICES})

    async def _read(self) -> _Reading:
        async with self.system.postgres.administration() as connection:
            written = {row["datname"]: row["bytes"] for row in await connection.fetch(WAL, list(SERVICES))}
        return _Reading(self.system.traffic, written, perf_counter())


def _medians(of_parts: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    return {name: median(part[name] for part in of_parts) for name in of_parts[0]}
