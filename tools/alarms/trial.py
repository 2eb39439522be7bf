"""One fault: which alarms ring while it's on, how soon, and how soon all is quiet again."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from shop_harness.services import SERVICES

from tools.alarms.description import ALARMS, MINUTE, Scale
from tools.alarms.faults import Fault
from tools.alarms.load import Load
from tools.alarms.shop import Shop
from tools.alarms.watching import LOOK_SECONDS, Ringing, Watch

OWN_SECONDS = 12.0
"""Not scaled: Prometheus asks, judges and tells once a second each; an idle consumer asks Kafka every five seconds, and
waits as long for an answer; a task is tried again after some."""
QUIET_WITHIN = 150.0
"""A task waits up to a minute for its next attempt, and the longest window of a rule is two scaled minutes."""
QUIET_SECONDS = 6.0
"""Orders that waited settle late after the fault: what rings so soon is of this fault, and not of the next."""
LINGERS = 2.0
"""The fault stays on for so long after its alarm, to hear what else rings."""
AFTER_DEPLOYMENTS = 2 * MINUTE
"""Scaled: by then orders that waited have settled, and ServiceDown has rung for a service that isn't back."""


@dataclass(frozen=True)
class Trial:
    """`rang` and `clear` are seconds, None for never; `also` are alarms that may ring, `others` that mustn't."""

    fault: Fault
    limit: float
    rang: float | None
    clear: float | None
    also: Collection[Ringing] = field(default=frozenset())
    others: Collection[Ringing] = field(default=frozenset())

    @property
    def rang_in_time(self) -> bool:
        return self.rang is not None and self.rang <= self.limit

    @property
    def verdict(self) -> str:
        """For a person, in a few words."""
        rang = "never rang" if self.rang is None else f"rang after {self.rang:.1f} s (at most {self.limit:.0f})"
        clear = "and never ended" if self.clear is None else f"and ended {self.clear:.1f} s after it"
        others = f"; wrong: {', '.join(sorted(map(str, self.others)))}" if self.others else ""
        return f"{rang} {clear}{others}"


async def tried(fault: Fault, shop: Shop, load: Load, watch: Watch, scale: Scale) -> Trial:
    """Switch the fault on under load, wait for its alarms, switch it off, and wait until all is quiet."""
    clock = asyncio.get_running_loop().time
    limit = limit_of(fault, scale)
    heard: set[Ringing] = set()
    begun, rang = clock(), None
    async with fault.broken(shop, load):
        while rang is None and clock() < begun + limit:
            heard |= await watch.ringing()
            if heard >= set(fault.rings):
                rang = clock() - begun
            await asyncio.sleep(LOOK_SECONDS)
        await asyncio.sleep(LINGERS)
        heard |= await watch.ringing()
    heard_after, clear = await _until_quiet(watch)
    heard |= heard_after
    rest = heard - set(fault.rings)
    also = {each for each in rest if each.alarm in fault.may}
    return Trial(fault, limit, rang, clear, also, rest - also)


async def _until_quiet(watch: Watch) -> tuple[set[Ringing], float | None]:
    """What still rings, and after how many seconds nothing does any more, for a while; None if something does."""
    clock = asyncio.get_running_loop().time
    begun = last = clock()
    heard: set[Ringing] = set()
    while clock() < last + QUIET_SECONDS:
        if clock() > begun + QUIET_WITHIN:
            return heard, None
        if ringing := await watch.ringing():
            heard |= ringing
            last = clock()
        await asyncio.sleep(LOOK_SECONDS)
    return heard, last - begun


def limit_of(fault: Fault, scale: Scale) -> float:
    """Seconds within which all alarms of the fault must ring."""
    within = {alarm.name: alarm.within for alarm in ALARMS}
    return max(within[each.alarm] for each in fault.rings) * scale.factor + OWN_SECONDS


async def healthy(load: Load, watch: Watch, orders: int) -> set[Ringing]:
    """What rings while so many orders are placed without a fault: nothing should."""
    target = len(load.placed) + orders
    return await _heard_until(lambda: len(load.placed) >= target, watch)


async def deployed(shop: Shop, watch: Watch, scale: Scale) -> tuple[Mapping[str, float], set[Ringing]]:
    """What rings while each service is replaced under load, and for some minutes after: nothing should.

    With the seconds for which each was away.
    """
    clock = asyncio.get_running_loop().time
    away, heard = dict[str, float](), set[Ringing]()
    for service in SERVICES:
        deployment = asyncio.create_task(shop.deploy(service))
        try:
            heard |= await _heard_until(deployment.done, watch)
        finally:  # nothing may begin while the shop ends
            await asyncio.wait([deployment])
        away[service] = deployment.result()
    until = clock() + AFTER_DEPLOYMENTS * scale.factor
    return away, heard | await _heard_until(lambda: clock() >= until, watch)


async def _heard_until(ended: Callable[[], bool], watch: Watch) -> set[Ringing]:
    heard = set[Ringing]()
    while not ended():
        heard |= await watch.ringing()
        await asyncio.sleep(LOOK_SECONDS)
    return heard
