"""Several orders at once, in hundreds of random stories of everything that may happen; the rules hold at every step.

`MODEL_EXAMPLES=20000 make model` tells more stories. A story that breaks a rule is printed at its shortest.
"""

import asyncio
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial, reduce
from typing import TypeVar

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from shop_harness.rules import ALWAYS, RULES, Rule, broken

from .evidence import of_simulation
from .services import DEADLINE
from .simulation import MAY_BE_LOST, RETRY, Message, Simulation

MAX_ORDERS = 3
MAX_SENT = 40
STORIES = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES", "150")),
    stateful_step_count=30,
    deadline=None,
    print_blob=True,
    phases=[Phase.reuse, Phase.generate, Phase.shrink],  # the story is the explanation
    suppress_health_check=list(HealthCheck),
)
T = TypeVar("T")
PICK = st.integers(min_value=0, max_value=11)


class BadEndingError(AssertionError):
    """A story, and the rules that it breaks."""


class SagaRules(RuleBasedStateMachine):
    """Rules are what may happen next; `pick` chooses among those that it may happen to."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.simulation = Simulation(loop)
        self._broken = False

    # --- customers ---

    @initialize(good=st.booleans())
    def first_order(self, good: bool) -> None:
        self.simulation.place(card_is_accepted=good)

    @precondition(lambda self: len(self.simulation.orders) < MAX_ORDERS)
    @rule(good=st.booleans())
    def place(self, good: bool) -> None:
        self.simulation.place(card_is_accepted=good)

    @precondition(lambda self: self.simulation.cancellable())
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        self.simulation.cancel(_chosen(self.simulation.cancellable(), pick))

    # --- Kafka ---

    @precondition(lambda self: self.simulation.next_messages())
    @rule(pick=PICK)
    def deliver(self, pick: int) -> None:
        self.simulation.deliver([_chosen(self.simulation.next_messages(), pick)], "reads")

    @precondition(lambda self: self.simulation.next_messages())
    @rule(pick=PICK)
    def deliver_a_batch(self, pick: int) -> None:
        group = _chosen(self.simulation.next_messages(), pick).group
        self.simulation.deliver(list(self.simulation.queues[group]), "reads at once")

    @precondition(lambda self: self.simulation.next_messages())
    @rule(pick=PICK)
    def deliver_twice(self, pick: int) -> None:
        message = _chosen(self.simulation.next_messages(), pick)
        self.simulation.deliver([message], "reads")
        self.simulation.deliver([message, message], "reads once more, twice,")

    @precondition(lambda self: self.simulation.next_messages())
    @rule(pick=PICK)
    def hold_back(self, pick: int) -> None:
        self.simulation.hold_back(_chosen(self.simulation.next_messages(), pick))

    @precondition(lambda self: self.simulation.late)
    @rule(pick=PICK)
    def deliver_late(self, pick: int) -> None:
        self.simulation.deliver([_chosen(self.simulation.late, pick)], "at last reads")

    @precondition(lambda self: bool(_losable(self.simulation)))
    @rule(pick=PICK)
    def lose(self, pick: int) -> None:
        self.simulation.lose(_chosen(_losable(self.simulation), pick))

    @precondition(lambda self: 0 < len(self.simulation.sent) < MAX_SENT)
    @rule(pick=PICK)
    def republish(self, pick: int) -> None:
        self.simulation.republish(_chosen(self.simulation.sent, pick))

    @precondition(lambda self: self.simulation.handled)
    @rule(pick=PICK)
    def replay(self, pick: int) -> None:
        changed = self.simulation.replay(_chosen(self.simulation.handled, pick).group)
        self._judge([changed] if changed else [])

    # --- time, workers, and what the services call ---

    @rule(span=st.sampled_from([timedelta(seconds=1), RETRY, DEADLINE]))
    def wait(self, span: timedelta) -> None:
        self.simulation.wait(span)

    @rule(pick=PICK)
    def work(self, pick: int) -> None:
        self.simulation.work(pick)

    @precondition(lambda self: self.simulation.runs)
    @rule(pick=PICK)
    def arrive(self, pick: int) -> None:
        run = _chosen(self.simulation.runs, pick)
        if not self.simulation.call_of(run).arrived:
            self.simulation.arrive(run)

    @precondition(lambda self: self.simulation.runs)
    @rule(pick=PICK)
    def answer(self, pick: int) -> None:
        self.simulation.answer(_chosen(self.simulation.runs, pick))

    @precondition(lambda self: self.simulation.runs)
    @rule(pick=PICK, fault=PICK)
    def fail(self, pick: int, fault: int) -> None:
        run = _chosen(self.simulation.runs, pick)
        self.simulation.fail(run, _chosen(self.simulation.call_of(run).faults, fault))

    @precondition(lambda self: self.simulation.runs)
    @rule(pick=PICK, request_is_lost=st.booleans())
    def die(self, pick: int, request_is_lost: bool) -> None:
        self.simulation.die(_chosen(self.simulation.runs, pick), request_is_lost=request_is_lost)

    @precondition(lambda self: self.simulation.strays)
    @rule(pick=PICK)
    def stray_arrives(self, pick: int) -> None:
        self.simulation.stray_arrives(pick % len(self.simulation.strays))

    @precondition(lambda self: self.simulation.runs)
    @rule(pick=PICK)
    def overrun(self, pick: int) -> None:
        self.simulation.overrun(_chosen(self.simulation.runs, pick))

    # --- the rules of the saga ---

    @invariant()
    def nothing_is_ever_wrong(self) -> None:
        self._judge(self._broken_rules(ALWAYS))

    def teardown(self) -> None:
        try:
            if not self._broken:
                self.simulation.drain()
                self._judge(self._broken_rules(RULES))
        finally:
            self.simulation.close()

    def _broken_rules(self, rules: Iterable[Rule]) -> Iterator[str]:
        for sentence in broken(rules, of_simulation(self.simulation)):
            names = {str(order_id): self.simulation.name(order_id) for order_id in self.simulation.orders}
            yield reduce(lambda text, order_id: text.replace(order_id, names[order_id]), names, sentence)

    def _judge(self, broken: Iterable[str]) -> None:
        rules = [f"broken: {rule}" for rule in broken]
        if rules:
            self._broken = True
            raise BadEndingError("\n".join(["this story ends badly:", *self.simulation.story, *rules]))


def _chosen(among: Sequence[T], pick: int) -> T:
    return among[pick % len(among)]


def _losable(simulation: Simulation) -> list[Message]:
    return [message for message in simulation.next_messages() if (message.group, message.type) in MAY_BE_LOST]


class StillLoop(asyncio.SelectorEventLoop):
    """Its clock stands still: the services' own limits for their calls are the story's, and not this machine's."""

    def time(self) -> float:
        return 0.0


@pytest.fixture
def loop() -> Iterator[StillLoop]:
    loop = StillLoop()
    yield loop
    loop.close()


@pytest.fixture
def silent_logs() -> Iterator[None]:
    """Writing them would take most of the time."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("silent_logs")
def test_every_story_of_several_orders_ends_well(loop: StillLoop) -> None:
    run_state_machine_as_test(partial(SagaRules, loop), settings=STORIES)  # type: ignore[arg-type]  # any factory will do
