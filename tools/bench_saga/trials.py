"""What is done to each build: a load to saturation, and the same load while payments is killed again and again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter

from shop_harness.evidence import Charge, Mail
from shop_harness.ledgers import Ledgers
from shop_harness.percentiles import percentile
from shop_harness.services import SAGA

from tools.bench_saga.builds import CAPTURED, Build, SagaSystem
from tools.measuring.load import Customers

CLIENTS = 16
WARM_UP = 80
KILLS = 5
LOOK_EVERY = 0.1
STILL_SECONDS = 30.0
"""After so many seconds without a charge or an e-mail, what is missing is lost: three times a consumer's session."""


@dataclass(frozen=True)
class Turn:
    """One load: CPU milliseconds an order by process, orders a second, and the answers of POST in seconds."""

    milliseconds: Mapping[str, float]
    orders_a_second: float
    answers: Sequence[float]

    @property
    def services(self) -> float:
        return sum(self.milliseconds[service] for service in SAGA)

    @property
    def p50(self) -> float:
        return percentile(self.answers, 50)

    @property
    def p99(self) -> float:
        return percentile(self.answers, 99)


@dataclass(frozen=True)
class Harm:
    """What the ledgers of the gateway and of the mail catcher say of orders that were answered with 201."""

    never_charged: int
    charged_too_often: int
    never_told: int
    mails_too_many: int
    kills: int = 0

    @property
    def lost(self) -> int:
        return self.never_charged

    @property
    def doubled(self) -> int:
        return self.charged_too_often + self.mails_too_many

    @classmethod
    def of(cls, ids: Sequence[str], charges: Sequence[Charge], mails: Sequence[Mail], *, kills: int = 0) -> "Harm":
        """Judge these orders. Charges and e-mails too many are each counted."""
        charged = Counter(charge.order_id for charge in charges)
        told = Counter(mail.order_id for mail in mails)
        return cls(
            never_charged=sum(not charged[order_id] for order_id in ids),
            charged_too_often=sum(max(0, charged[order_id] - 1) for order_id in ids),
            never_told=sum(not told[order_id] for order_id in ids),
            mails_too_many=sum(max(0, told[order_id] - 1) for order_id in ids),
            kills=kills,
        )


@dataclass
class Trials:
    """The system, and how many orders each build has had."""

    system: SagaSystem
    ledgers: Ledgers
    told: Counter[str] = field(default_factory=Counter)

    async def load(self, build: Build, orders: int) -> Turn:
        """One turn of a build, warmed up."""
        async with self._running(build) as customers:
            services = {service: build.process(service) for service in SAGA}
            before, begun = self.system.processor_seconds(services), perf_counter()
            answered = await customers.place(orders)
            await self._at_rest(build, orders)
            took, after = perf_counter() - begun, self.system.processor_seconds(services)
        spent = {name: 1000 * (after[name] - before[name]) / orders for name in after}
        return Turn(spent, orders / took, answered.seconds)

    async def kills(self, build: Build, orders: int) -> Harm:
        """Kill payments while the orders come. The orders are judged when nothing moves any more."""
        async with self._running(build) as customers:
            killing = asyncio.create_task(self._kill(build, orders))
            try:
                answered = await customers.place(orders)
                kills = await killing
            finally:
                killing.cancel()
            await self._moves(build)
            evidence = await self.ledgers.read()
        return Harm.of(answered.ids, evidence.charges, evidence.mails, kills=kills)

    @asynccontextmanager
    async def _running(self, build: Build) -> AsyncIterator[Customers]:
        """A build that runs, alone and warm, and its customers."""
        await self.system.start(build)
        try:
            async with Customers.of(self.system.ports.url("orders"), CLIENTS) as customers:
                await customers.place(WARM_UP)
                await self._at_rest(build, WARM_UP)
                yield customers
        finally:
            await self.system.stop(build)

    async def _at_rest(self, build: Build, orders: int) -> None:
        self.told[build.name] += orders
        await self.system.at_rest(build, self.told[build.name])

    async def _kill(self, build: Build, orders: int) -> int:
        """Each kill comes when another part of the orders is charged: so each meets a process at work.

        Returns how many there were: one that has nothing left to charge isn't killed any more.
        """
        first = await self.system.count(build, "payments", CAPTURED)
        process = self.system.supervisor.process(build.process("payments"))
        for number in range(KILLS):
            if not await self._moves(build, until=first + (number + 1) * orders // (KILLS + 1)):
                return number
            process.kill()
        return KILLS

    async def _moves(self, build: Build, *, until: int | None = None) -> bool:
        """Wait until so many orders are charged; False where nothing came to the outside for a while before that."""
        clock = asyncio.get_running_loop().time
        seen, changed_at = (0, 0), clock()
        while clock() - changed_at < STILL_SECONDS:
            now = (
                await self.system.count(build, "payments", CAPTURED),
                await self.system.count(build, "notifications", build.told),
            )
            if until is not None and now[0] >= until:
                return True
            if now != seen:
                seen, changed_at = now, clock()
            await asyncio.sleep(LOOK_EVERY)
        return False
