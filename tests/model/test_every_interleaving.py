"""Walks every order in which one order's events, tasks, cancellations, crashes and replays can happen."""

from collections import deque
from collections.abc import Iterable, Sequence

import pytest
from shop_harness.rules import (
    ALIVE,
    ALWAYS,
    ANSWERS,
    CHARGED_ONCE,
    DOCUMENTED,
    HANDLED,
    IN_ORDER,
    NO_STRAY_LETTER,
    ONE_ID,
    POISON_IS_BURIED,
    REFUNDED,
    RULES,
    Rule,
    broken,
)

from .evidence import of_state
from .state import SagaState
from .transitions import Transitions

UNSEEN = (ANSWERS, NO_STRAY_LETTER, POISON_IS_BURIED, IN_ORDER, ONE_ID, DOCUMENTED, HANDLED, ALIVE)
"""Rules that have nothing to look at here: of poison, of topics and of processes."""


@pytest.mark.parametrize(
    ("card_accepted", "unseen"),
    [(True, UNSEEN), (False, (*UNSEEN, CHARGED_ONCE, REFUNDED))],
    ids=["card accepted", "card declined"],
)
async def test_every_interleaving_of_one_order_ends_well(card_accepted: bool, unseen: Sequence[Rule]) -> None:
    transitions = Transitions()
    first = await transitions.place(card_accepted=card_accepted)
    seen, queue, at_rest = {first.key()}, deque([first]), 0
    looked_at: set[str] = set()

    while queue:
        state = queue.popleft()
        following = await transitions.next_states(state)
        at_rest += not following
        looked_at |= _judge(state, ALWAYS if following else RULES)
        for changed in await transitions.broken_by_replay(state):
            pytest.fail(_story(changed, ["a replay changes nothing"]))
        for next_state in (*following, *await transitions.disturbed_states(state)):
            if next_state.key() not in seen:
                seen.add(next_state.key())
                queue.append(next_state)

    assert at_rest > 1
    assert len(seen) > 100
    assert {rule.sentence for rule in RULES} - looked_at == {rule.sentence for rule in unseen}


def _judge(state: SagaState, rules: Iterable[Rule]) -> set[str]:
    """Returns the rules that had something to look at."""
    evidence = of_state(state)
    fallen = list(broken(rules, evidence))
    assert not fallen, _story(state, fallen)
    return {rule.sentence for rule in rules if rule.checked(evidence)}


def _story(state: SagaState, fallen: Iterable[str]) -> str:
    return "\n".join(["this story ends badly:", *state.story, *(f"broken: {rule}" for rule in fallen)])
