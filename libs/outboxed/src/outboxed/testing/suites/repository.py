"""Tests of a service's aggregates, in memory and on PostgreSQL."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from outboxed.storage import ConcurrentInsertError, SqlTransactions, StaleAggregateError
from outboxed.testing.adapters import Backend, SqlBackend, failed_transaction


class RepositorySuite:
    """Aggregates of a service, in memory and on PostgreSQL. Needs the fixtures `backend` and `transactions`."""

    table: ClassVar[sa.Table]
    repository: ClassVar[str]
    """Its name in a unit of work."""
    key_field: ClassVar[str] = "id"

    def versions(self) -> Sequence[Any]:
        """A new aggregate, and what two changes one after the other make of it."""
        raise NotImplementedError

    def repository_of(self, uow: Any) -> Any:
        return getattr(uow, self.repository)

    async def add(self, backend: Backend, *aggregates: Any) -> None:
        async with backend.database() as uow:
            for aggregate in aggregates:
                self.repository_of(uow).add(aggregate)

    async def save(self, backend: Backend, *aggregates: Any) -> None:
        async with backend.database() as uow:
            for aggregate in aggregates:
                self.repository_of(uow).save(aggregate)

    async def found(self, backend: Backend, key: UUID) -> Any:
        async with backend.database() as uow:
            return await self.repository_of(uow).find(key)

    async def is_found_whole(self, backend: Backend, aggregate: Any) -> bool:
        """Stores it, and says whether it comes back as it was."""
        await self.add(backend, aggregate)
        async with backend.database() as uow:
            locked = await self.repository_of(uow).get(aggregate.id)
        return [locked, await self.found(backend, aggregate.id)] == [aggregate, aggregate]

    async def test_what_was_never_added_is_not_found(self, backend: Backend) -> None:
        async with backend.database() as uow:
            assert await self.repository_of(uow).get(uuid4()) is None
            assert await self.repository_of(uow).find(uuid4()) is None

    @pytest.mark.parametrize("stored_before", [False, True])
    async def test_a_transaction_gets_what_it_added_and_saved_itself(
        self, backend: Backend, stored_before: bool
    ) -> None:
        aggregate, changed, _ = self.versions()
        if stored_before:
            await self.add(backend, aggregate)

        async with backend.database() as uow:
            repository = self.repository_of(uow)
            if not stored_before:
                repository.add(aggregate)
            assert await repository.get(aggregate.id) == aggregate
            repository.save(changed)
            assert await repository.get(aggregate.id) == changed

        assert await self.found(backend, aggregate.id) == changed

    async def test_an_aggregate_may_change_twice_in_one_transaction(self, backend: Backend) -> None:
        aggregate, changed, changed_again = self.versions()
        await self.add(backend, aggregate)

        await self.save(backend, changed, changed_again)

        assert await self.found(backend, aggregate.id) == changed_again

    async def test_two_of_one_id_are_refused_and_the_first_stays(self, backend: Backend) -> None:
        first, twin, _ = self.versions()
        await self.add(backend, first)

        with pytest.raises(ConcurrentInsertError):
            await self.add(backend, twin, self.versions()[0])

        assert await self.found(backend, first.id) == first

    @pytest.mark.parametrize("versions_back", [0, 1])
    async def test_a_version_that_is_not_newer_is_refused_with_its_whole_transaction(
        self, backend: Backend, versions_back: int
    ) -> None:
        _, stored, changed_again = self.versions()
        innocent, innocently_changed, _ = self.versions()
        await self.add(backend, stored, innocent)
        stale = replace(changed_again, version=stored.version - versions_back)

        with pytest.raises(StaleAggregateError):
            await self.save(backend, innocently_changed, stale)

        assert await self.found(backend, stored.id) == stored
        assert await self.found(backend, innocent.id) == innocent

    async def test_what_was_never_added_cannot_be_saved(self, backend: Backend) -> None:
        with pytest.raises(StaleAggregateError):
            await self.save(backend, self.versions()[1])

    async def test_a_change_is_gone_when_its_transaction_fails(self, backend: Backend) -> None:
        aggregate, changed, _ = self.versions()
        await self.add(backend, aggregate)

        async with failed_transaction(backend.database) as uow:
            self.repository_of(uow).save(changed)

        assert await self.found(backend, aggregate.id) == aggregate

    async def test_batches_that_lock_the_same_keys_in_other_orders_do_not_block_each_other(
        self, backend: Backend
    ) -> None:
        new = [self.versions()[0] for _ in range(10)]
        aggregates = {str(getattr(aggregate, self.key_field)): aggregate for aggregate in new}
        await self.add(backend, *aggregates.values())
        keys = list(aggregates)

        async def touch(batch: Sequence[str]) -> None:
            async with backend.database() as uow:
                await uow.lock(batch)
                for key in batch:
                    assert await self.repository_of(uow).get(aggregates[key].id) is not None

        await asyncio.gather(*(touch(batch) for batch in [keys, keys[::-1], keys[5:] + keys[:5]] * 3))

    async def test_a_row_that_was_changed_behind_its_lock_is_not_overwritten(
        self, transactions: SqlTransactions[Any]
    ) -> None:
        aggregate, changed, _ = self.versions()
        await self.add(SqlBackend(transactions), aggregate)

        async def save_what_moved_on() -> None:
            async with transactions() as uow:
                await uow.connection.execute(sa.update(self.table).values(version=5))
                self.repository_of(uow).save(changed)

        with pytest.raises(StaleAggregateError):
            await save_what_moved_on()

    async def test_looking_does_not_wait_for_who_changes(self, transactions: SqlTransactions[Any]) -> None:
        aggregate, changed, _ = self.versions()
        await self.add(SqlBackend(transactions), aggregate)

        async with transactions() as writing, transactions() as reading:
            await self.repository_of(writing).get(aggregate.id)
            self.repository_of(writing).save(changed)
            async with asyncio.timeout(30):
                seen = await self.repository_of(reading).find(aggregate.id)

        assert seen == aggregate
