"""What is old is forgotten: handled events and closed dead letters, in steps of a transaction each."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from outboxed.consuming import BatchConsumer, DeadLetterQueue
from outboxed.messages import EventIdentity
from outboxed.storage import Pruner, tables
from sqlalchemy.ext.asyncio import AsyncEngine

from ..sample import SqlAccounts, moved, raw
from .conftest import Transactions, count


async def test_old_inbox_rows_and_closed_letters_are_pruned_and_open_letters_stay(
    transactions: Transactions, consumer: BatchConsumer[Any], letters: DeadLetterQueue[SqlAccounts]
) -> None:
    await consumer.handle([raw(moved()), raw(moved(amount="13.00")), raw(moved(amount="13.00"))])
    first, second = await letters.list()
    await letters.discard(first.id)
    pruner = Pruner(transactions.engine, transactions.clock)

    transactions.clock.advance(timedelta(days=13, hours=23))
    before = await pruner.prune()
    transactions.clock.advance(timedelta(hours=2))
    after = await pruner.prune()

    assert (before, after) == (0, 2)
    assert await count(transactions.engine, tables.inbox) == 0
    assert [letter.id for letter in await letters.list()] == [second.id]


async def test_a_namesake_stays_known_when_the_event_whose_id_it_has_is_pruned(transactions: Transactions) -> None:
    first, namesake = EventIdentity("/a", "1"), EventIdentity("/b", "1")
    pruner = Pruner(transactions.engine, transactions.clock)
    seen = []

    for days_later, event in ((0, first), (10, namesake), (5, namesake), (0, first), (10, namesake)):
        transactions.clock.advance(timedelta(days=days_later))
        await pruner.prune()
        async with transactions() as uow:
            seen.append(await uow.inbox.insert([event]))

    assert seen == [{first}, {namesake}, set(), {first}, {namesake}]


async def test_many_old_rows_are_pruned_in_steps_of_a_transaction_each(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.storage._retention.STEP", 10)
    async with transactions() as uow:
        await uow.inbox.insert(EventIdentity("/test", str(number)) for number in range(35))
    transactions.clock.advance(timedelta(days=15))

    with deletions_of(transactions.engine) as deleted:
        assert await Pruner(transactions.engine, transactions.clock).prune() == 35

    assert (sum(deleted), max(deleted)) == (35, 10)


@contextmanager
def deletions_of(engine: AsyncEngine) -> Iterator[list[int]]:
    """How many rows each transaction deletes."""
    deleted = [0]

    def count_rows(_: object, cursor: Any, *__: object) -> None:
        deleted[-1] += cursor.rowcount

    def commit(_: object) -> None:
        deleted.append(0)

    listeners: tuple[tuple[str, Callable[..., None]], ...] = (("after_cursor_execute", count_rows), ("commit", commit))
    for event, listener in listeners:
        sa.event.listen(engine.sync_engine, event, listener)
    try:
        yield deleted
    finally:
        for event, listener in listeners:
            sa.event.remove(engine.sync_engine, event, listener)


async def test_a_pruner_passes_by_what_another_one_is_deleting(transactions: Transactions) -> None:
    async with transactions() as uow:
        await uow.inbox.insert(EventIdentity("/test", str(number)) for number in range(3))
    transactions.clock.advance(timedelta(days=15))

    async with transactions.engine.connect() as other:
        await other.execute(sa.delete(tables.inbox).where(tables.inbox.c.event_id == "1"))
        async with asyncio.timeout(20):
            assert await Pruner(transactions.engine, transactions.clock).prune() == 2
