"""When which fault happens: drawn from a seed, so that a run that failed can be repeated."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong `times` times in a run.

    `inject(random)` makes the fault happen, ends a lasting one, and returns in words what was done; it takes every
    choice from `random`. Faults that need the same thing (`needs`) never overlap; any others may.
    """

    name: str
    times: int
    inject: Callable[[random.Random], Awaitable[str]]
    needs: str = ""


@dataclass(frozen=True)
class Planned:
    """A fault with its time in seconds from the start; `seed` is for the fault's own choices."""

    at: float
    fault: Fault
    seed: int = field(repr=False)


def planned(faults: Iterable[Fault], *, seed: int, over: float) -> list[Planned]:
    """Divide `over` seconds into equal parts, one for each time of a fault, which happens anywhere in its part.

    The same seed and faults give the same plan, though not the same run.
    """
    rng = random.Random(seed)  # noqa: S311 - a plan, not a secret
    plan = [
        Planned(over / fault.times * (number + rng.random()), fault, rng.randrange(2**32))
        for fault in faults
        for number in range(fault.times)
    ]
    return sorted(plan, key=lambda one: one.at)


async def play(plan: Sequence[Planned], told: Callable[[float, Planned, str], None]) -> None:
    """Inject all faults of a plan, and return when the last one is over.

    `told(seconds, planned, words)` is called at the end of each fault. Raises what an injection raised, after the
    others were cancelled.
    """
    clock = asyncio.get_running_loop().time
    begun = clock()
    free: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def happen(one: Planned) -> None:
        await asyncio.sleep(max(0.0, begun + one.at - clock()))
        async with free[one.fault.needs] if one.fault.needs else asyncio.Lock():
            words = await one.fault.inject(random.Random(one.seed))  # noqa: S311 - a schedule of faults, not a secret
        told(clock() - begun, one, words)

    async with asyncio.TaskGroup() as group:
        for one in plan:
            group.create_task(happen(one))
