"""Aggregates in PostgreSQL: written in bulk and in order, never over somebody else's change, never in a deadlock."""

import asyncio
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from outboxed.storage import StaleAggregateError, tables

from ..sample import Account, AccountCredited, accounts
from .conftest import Transactions, somebody_waits


async def add(transactions: Transactions, *new: Account) -> None:
    async with transactions() as uow:
        for account in new:
            uow.accounts.add(account)


async def test_rows_are_inserted_in_the_order_of_adding(transactions: Transactions) -> None:
    new = [Account(uuid4(), Decimal(number)) for number in range(200)]

    await add(transactions, *new)

    async with transactions.engine.connect() as connection:
        stored = (await connection.execute(sa.select(accounts.c.id).order_by(accounts.c.position))).scalars().all()
    assert stored == [account.id for account in new]


async def test_outbox_rows_have_ids_in_the_order_of_appending(transactions: Transactions, account_id: UUID) -> None:
    async with transactions() as uow:
        for sequence in range(300):
            uow.events.append(AccountCredited(account_id=account_id), sequence=sequence)

    async with transactions.engine.connect() as connection:
        headers = (await connection.execute(sa.select(tables.outbox.c.headers).order_by(tables.outbox.c.id))).scalars()
        assert [int(header["ce_sequence"]) for header in headers] == list(range(300))


async def test_each_of_many_changed_rows_gets_its_own_values(transactions: Transactions) -> None:
    new = [Account(uuid4()) for _ in range(100)]
    await add(transactions, *new)

    async with transactions() as uow:
        for number, account in enumerate(reversed(new)):
            uow.accounts.save(account.credit(Decimal(number)))

    async with transactions() as uow:
        stored = {account.id: account.balance for account in await uow.accounts.select()}
    assert stored == {account.id: number for number, account in enumerate(reversed(new))}


async def test_those_that_meet_every_condition_are_selected_in_an_order_and_no_more_than_are_wanted(
    transactions: Transactions,
) -> None:
    ids = [UUID(int=number) for number in range(10)]
    await add(transactions, *(Account(ids[number]) for number in (3, 9, 1, 7, 5)))
    key = accounts.c.id

    async with transactions() as uow:
        some = await uow.accounts.select(key > ids[1], key < ids[9], order_by=[key.desc()])
        few = await uow.accounts.select(key > ids[1], order_by=[key], limit=2)

    assert [account.id for account in some] == [ids[7], ids[5], ids[3]]
    assert [account.id for account in few] == [ids[3], ids[5]]


async def test_what_was_saved_is_what_the_same_transaction_finds(transactions: Transactions) -> None:
    """As two events of one aggregate in a batch."""
    account = Account(uuid4())
    await add(transactions, account)

    async with transactions() as uow:
        for _ in range(2):
            current = await uow.accounts.get(account.id)
            assert current is not None
            uow.accounts.save(current.credit(Decimal(1)))

    async with transactions() as uow:
        assert await uow.accounts.find(account.id) == Account(account.id, Decimal(2), version=3)


class CountedId(UUID):
    """An id that counts how often any of its kind was looked up."""

    looked_up = 0

    def __hash__(self) -> int:
        type(self).looked_up += 1
        return super().__hash__()


async def test_to_get_one_of_a_batch_looks_at_that_one_alone(transactions: Transactions) -> None:
    ids = [CountedId(uuid4().hex) for _ in range(100)]

    async with transactions() as uow:
        await uow.accounts.lock(ids)
        before = CountedId.looked_up
        assert await uow.accounts.get(ids[0]) is None
        await uow.accounts.lock(ids[:1])

    assert CountedId.looked_up - before < 10


async def test_an_aggregate_that_moved_on_behind_its_lock_stops_the_whole_transaction(
    transactions: Transactions,
) -> None:
    stale, fresh = Account(uuid4()), Account(uuid4())
    await add(transactions, stale, fresh)

    async def save_both() -> None:
        async with transactions() as uow:
            await uow.connection.execute(sa.update(accounts).where(accounts.c.id == stale.id).values(version=9))
            uow.accounts.save(fresh.credit(Decimal(1)))
            uow.accounts.save(stale.credit(Decimal(1)))

    with pytest.raises(StaleAggregateError, match="1 of 2 rows of accounts"):
        await save_both()
    async with transactions() as uow:
        assert await uow.accounts.find(fresh.id) == fresh


async def test_concurrent_batches_that_name_their_keys_in_opposite_order_do_not_deadlock(
    transactions: Transactions,
) -> None:
    new = [Account(uuid4()) for _ in range(20)]
    await add(transactions, *new)
    keys = [str(account.id) for account in new]

    async def credit_all(batch: list[str]) -> None:
        async with transactions() as uow:
            await uow.lock(batch)
            for account in new:
                current = await uow.accounts.get(account.id)
                assert current is not None
                uow.accounts.save(current.credit(Decimal(1)))

    await asyncio.gather(*(credit_all(batch) for batch in [keys, keys[::-1]] * 4))

    async with transactions() as uow:
        assert {account.balance for account in await uow.accounts.select()} == {8}


async def test_a_batch_that_waits_for_its_first_key_holds_none_of_the_others(transactions: Transactions) -> None:
    first, second = sorted([uuid4(), uuid4()])
    for account_id in (second, first):  # so they lie in the table, too
        await add(transactions, Account(account_id))

    async def lock_both() -> None:
        async with transactions() as uow:
            for plan in ("enable_indexscan", "enable_bitmapscan"):  # what an index gives is in order by itself
                await uow.connection.execute(sa.text(f"set local {plan} = off"))
            await uow.lock([str(second), str(first)])

    async with asyncio.TaskGroup() as tasks, transactions.engine.begin() as other:
        await other.execute(one_locked(first))
        tasks.create_task(lock_both())
        await somebody_waits(transactions.engine)

        assert (await other.execute(one_locked(second))).all() == [(second,)]


def one_locked(account_id: UUID) -> sa.Select[UUID]:
    query = sa.select(accounts.c.id).where(accounts.c.id == account_id)
    return query.with_for_update(skip_locked=True)


async def test_what_is_locked_is_read_again_only_after_its_holder_has_committed(transactions: Transactions) -> None:
    account = Account(uuid4())
    await add(transactions, account)

    async def credit_once() -> None:
        async with transactions() as uow:
            current = await uow.accounts.get(account.id)
            assert current is not None
            uow.accounts.save(current.credit(Decimal(1)))

    await asyncio.gather(*(credit_once() for _ in range(8)))

    async with transactions() as uow:
        current = await uow.accounts.find(account.id)
    assert current is not None
    assert (current.balance, current.version) == (Decimal(8), 9)
