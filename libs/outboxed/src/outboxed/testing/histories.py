"""Histories that Hypothesis makes up, to hold the in-memory and the SQL ports of a service to one outcome.

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
"""Transactions: their steps, each the name of one and the number of its subject, and whether they fail at their end."""

ON_A_DATABASE = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example has subjects of its own
        HealthCheck.too_slow,  # seconds of the wall clock: on a busy machine the first draw can take one
    ],
)


@dataclass(frozen=True)
class Histories:
    """Of a few subjects, such as orders, to which `steps` may happen, by name.

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
        """What Hypothesis draws from: short histories first."""
        step = st.tuples(st.sampled_from(sorted(self.steps)), st.integers(0, self.subjects - 1))
        transaction = st.tuples(st.lists(step, min_size=1, max_size=self.max_steps), st.booleans())
        return st.lists(transaction, max_size=self.max_transactions)

    async def play(self, history: History, database: Any, subjects: Sequence[UUID]) -> None:
        """Let it happen on a database of either adapter, to `subjects` that no other example has touched."""
        for steps, fails in history:
            async with failed_transaction(database) if fails else database() as uow:
                for name, number in steps:
                    await self.steps[name](subjects[number], uow)
