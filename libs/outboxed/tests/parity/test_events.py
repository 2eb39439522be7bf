"""One fact in two versions: the same in memory and on PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from outboxed.errors import EventTooLargeError
from outboxed.messages import Event
from outboxed.messages._envelope import MAX_VALUE_BYTES
from outboxed.storage import ConcurrentInsertError
from outboxed.testing.adapters import Backend

from ..sample import Account, AccountCredited


class AccountCreditedAgain(Event, type="account.credited.v2", topic="accounts", key_field="account_id"):
    account_id: UUID


async def outbox(backend: Backend) -> Sequence[Mapping[str, str]]:
    return [record.headers for record in await backend.outbox()]


def versions(account_id: UUID, **first: Any) -> tuple[Event, Event]:
    return AccountCreditedAgain(account_id=account_id), AccountCredited(account_id=account_id, **first)


async def test_all_versions_of_a_fact_are_sent_under_one_id_in_the_order_given(backend: Backend) -> None:
    async with backend.database() as uow:
        uow.events.append(*versions(uuid4()), sequence=3)

    newest, oldest = await outbox(backend)
    assert [newest["ce_type"], oldest["ce_type"]] == ["account.credited.v2", "account.credited.v1"]
    assert {**newest, "ce_type": oldest["ce_type"]} == oldest


async def test_no_event_leaves_a_transaction_that_does_not_commit(backend: Backend) -> None:
    account = Account(uuid4())
    async with backend.database() as uow:
        uow.accounts.add(account)

    async def add_again() -> None:
        async with backend.database() as uow:
            uow.events.append(AccountCredited(account_id=account.id), sequence=1)
            uow.accounts.add(account)

    with pytest.raises(ConcurrentInsertError):
        await add_again()

    assert not await outbox(backend)


async def test_two_facts_have_two_ids(backend: Backend, account_id: UUID) -> None:
    async with backend.database() as uow:
        for version in versions(account_id):
            uow.events.append(version, sequence=3)

    assert len({headers["ce_id"] for headers in await outbox(backend)}) == 2


async def test_a_fact_is_not_said_twice_in_one_version(backend: Backend) -> None:
    event = AccountCredited(account_id=uuid4())

    async with backend.database() as uow:
        with pytest.raises(ValueError, match=r"one event of a type, not \['account\.credited\.v1', 'account\.credited"):
            uow.events.append(event, event, sequence=1)

    assert not await outbox(backend)


async def test_a_fact_of_which_one_version_is_too_large_is_not_sent_at_all(backend: Backend) -> None:
    async with backend.database() as uow:
        with pytest.raises(EventTooLargeError):
            uow.events.append(*versions(uuid4(), owner="a" * MAX_VALUE_BYTES), sequence=1)

    assert not await outbox(backend)
