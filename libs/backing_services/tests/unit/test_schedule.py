"""A plan of faults comes from its seed alone, and happens as planned."""

import asyncio
import random

import pytest
from backing_services.faults import Fault, Planned, planned, play


async def nothing(rng: random.Random) -> str:
    return f"chose {rng.randrange(100)}"


FAULTS = (Fault("kill", 5, nothing), Fault("pause", 2, nothing), Fault("never", 0, nothing))


def times(plan: list[Planned], name: str) -> list[float]:
    return [one.at for one in plan if one.fault.name == name]


def test_the_same_seed_gives_the_same_plan() -> None:
    assert planned(FAULTS, seed=7, over=60) == planned(FAULTS, seed=7, over=60)


def test_another_seed_gives_another() -> None:
    assert planned(FAULTS, seed=7, over=60) != planned(FAULTS, seed=8, over=60)


def test_each_time_has_its_own_part_of_the_run() -> None:
    plan = planned(FAULTS, seed=7, over=50)

    assert [int(at // 10) for at in times(plan, "kill")] == [0, 1, 2, 3, 4]
    assert [int(at // 25) for at in times(plan, "pause")] == [0, 1]
    assert times(plan, "never") == []
    assert plan == sorted(plan, key=lambda one: one.at)


async def test_every_fault_happens_and_its_choices_come_from_the_plan() -> None:
    told: list[str] = []

    for _ in range(2):
        plan = planned(FAULTS, seed=7, over=0.01)
        await play(plan, lambda _, one, words: told.append(f"{one.at} {one.fault.name} {words}"))

    assert len(told) == 14
    assert sorted(told[:7]) == sorted(told[7:])


async def test_two_that_need_the_same_thing_never_overlap() -> None:
    inside, most = 0, 0

    async def count(rng: random.Random) -> str:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        for _ in range(rng.randrange(1, 5)):
            await asyncio.sleep(0)
        inside -= 1
        return ""

    await play(planned([Fault("x", 9, count, needs="kafka")], seed=1, over=0), lambda *_: None)

    assert most == 1


async def test_whatever_else_may_happen_at_once() -> None:
    all_are_there = asyncio.Barrier(3)

    async def meet(_: random.Random) -> str:
        await all_are_there.wait()
        return ""

    faults = [Fault("a", 1, meet), Fault("b", 1, meet), Fault("c", 1, meet, needs="kafka")]
    async with asyncio.timeout(30):
        await play(planned(faults, seed=1, over=0), lambda *_: None)


async def test_what_an_injection_raises_ends_the_play() -> None:
    async def broken(rng: random.Random) -> str:
        raise ValueError(f"no fault today: {rng.random()}")

    async def for_ever(_: random.Random) -> str:
        await asyncio.get_running_loop().create_future()
        return "never"

    plan = planned([Fault("broken", 1, broken), Fault("for ever", 1, for_ever)], seed=1, over=0)

    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await play(plan, lambda *_: None)
