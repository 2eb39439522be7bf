"""Random histories from Hypothesis: the in-memory and the SQL ports of a service must come to the same outcome.

Needs `hypothesis`, which the extra `histories` of this distribution brings.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from outboxed.testing.adapters import failed_transaction

Step = Callable[[UUID, Any], Awaitable[Any]]
"""Does something to a subject in a unit of work."""
History = list[tuple[list[tuple[str, int]], bool]]
"""Transactions: each has its steps (a step's name and the number of its subject) and whether it fails at its end."""

ON_A_DATABASE = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example has subjects of its own
        HealthCheck.differing_executors,  # each service's subclass of one suite
        HealthCheck.too_slow,  # on a busy machine the first draw can take longer than the limit of one second
    ],
)


@dataclass(frozen=True)
class Histories:
    """Makes up histories of a few subjects, such as orders; `steps` are what may happen to a subject, by name.

    ::

        @ON_A_DATABASE
        @given(history=HISTORIES.made_up())
        async def test_every_history_ends_alike(in_memory, sql, history): ...
    """

    steps: Mapping[str, Step]
    subjects: int = 3
    max_transactions: int = 8
    max_steps: int = 4

    def made_up(self) -> st.SearchStrategy[History]:
        """Hypothesis' strategy for histories: short ones first."""
        step = st.tuples(st.sampled_from(sorted(self.steps)), st.integers(0, self.subjects - 1))
        transaction = st.tuples(st.lists(step, min_size=1, max_size=self.max_steps), st.booleans())
        return st.lists(transaction, max_size=self.max_transactions)

    async def play(self, history: History, database: Any, subjects: Sequence[UUID]) -> None:
        """Play a history on the database of either adapter, with `subjects` that no other example uses."""
        for steps, fails in history:
            async with failed_transaction(database) if fails else database() as uow:
                for name, number in steps:
                    await self.steps[name](subjects[number], uow)
