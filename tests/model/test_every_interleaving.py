"""Walks every order in which one order's events, tasks, cancellations, crashes and replays can happen."""

from collections import deque

import pytest

from .state import World, broken_always, broken_at_rest
from .transitions import Stage


@pytest.mark.parametrize("card_accepted", [True, False], ids=["card accepted", "card declined"])
async def test_every_interleaving_of_one_order_ends_well(card_accepted: bool) -> None:
    stage = Stage()
    first = await stage.place(card_accepted=card_accepted)
    seen, queue, at_rest = {first.key()}, deque([first]), 0

    while queue:
        world = queue.popleft()
        assert not list(broken_always(world)), _told(world)
        following = await stage.next_worlds(world)
        if not following:
            at_rest += 1
            assert not list(broken_at_rest(world)), _told(world)
        for changed in await stage.broken_by_replay(world):
            pytest.fail(_told(changed, "a replay changes nothing"))
        for next_world in (*following, *await stage.disturbed_worlds(world)):
            if next_world.key() not in seen:
                seen.add(next_world.key())
                queue.append(next_world)

    assert at_rest > 1
    assert len(seen) > 100


def _told(world: World, *rules: str) -> str:
    broken = rules or [*broken_always(world), *broken_at_rest(world)]
    return "\n".join(["this story ends badly:", *world.story, *(f"broken: {rule}" for rule in broken)])
