"""Walks every order in which one order's events, tasks, cancellations, crashes and replays can happen."""

from collections import deque
from collections.abc import Iterable

import pytest
from shop_harness.rules import ALWAYS, RULES, Rule, broken

from .evidence import of_state
from .state import SagaState
from .transitions import Transitions


@pytest.mark.parametrize("card_accepted", [True, False], ids=["card accepted", "card declined"])
async def test_every_interleaving_of_one_order_ends_well(card_accepted: bool) -> None:
    transitions = Transitions()
    first = await transitions.place(card_accepted=card_accepted)
    seen, queue, at_rest = {first.key()}, deque([first]), 0

    while queue:
        state = queue.popleft()
        _judge(state, ALWAYS)
        following = await transitions.next_states(state)
        if not following:
            at_rest += 1
            _judge(state, RULES)
        for changed in await transitions.broken_by_replay(state):
            pytest.fail(_story(changed, ["a replay changes nothing"]))
        for next_state in (*following, *await transitions.disturbed_states(state)):
            if next_state.key() not in seen:
                seen.add(next_state.key())
                queue.append(next_state)

    assert at_rest > 1
    assert len(seen) > 100


def _judge(state: SagaState, rules: Iterable[Rule]) -> None:
    fallen = list(broken(rules, of_state(state)))
    assert not fallen, _story(state, fallen)


def _story(state: SagaState, fallen: Iterable[str]) -> str:
    return "\n".join(["this story ends badly:", *state.story, *(f"broken: {rule}" for rule in fallen)])
