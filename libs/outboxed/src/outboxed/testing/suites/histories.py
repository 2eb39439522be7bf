"""Tests of random histories, in memory and on PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from outboxed.storage import SqlTransactions
from outboxed.testing.adapters import Backend, InMemoryBackend, SqlBackend
from outboxed.testing.histories import ON_A_DATABASE, Histories, History


class HistoriesSuite:
    """Whatever happens to a few subjects, in whatever sequence. Needs the fixtures `in_memory` and `transactions`."""

    histories: ClassVar[Histories]

    async def begin(self, database: Any, subjects: Sequence[UUID]) -> None:
        """What has to be there before; nothing, unless a service says otherwise."""

    async def outcome(self, backend: Backend, numbers: Mapping[str, int]) -> Any:
        """What came of the subjects, which are given by id with a number each, without ids and times."""
        raise NotImplementedError

    @ON_A_DATABASE
    @given(data=st.data())
    async def test_every_history_ends_alike_in_memory_and_on_postgresql(
        self, in_memory: InMemoryBackend, transactions: SqlTransactions[Any], data: st.DataObject
    ) -> None:
        history = data.draw(self.histories.made_up())

        outcomes = [await self._play(history, backend) for backend in (in_memory, SqlBackend(transactions))]

        assert outcomes[0] == outcomes[1]

    async def _play(self, history: History, backend: Backend) -> Any:
        """With subjects that nobody has heard of."""
        subjects = [uuid4() for _ in range(self.histories.subjects)]
        await self.begin(backend.database, subjects)
        await self.histories.play(history, backend.database, subjects)
        return await self.outcome(backend, {str(subject): number for number, subject in enumerate(subjects)})
