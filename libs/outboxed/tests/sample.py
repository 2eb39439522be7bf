"""A service in a nutshell, for outboxed's own tests: accounts that money moves into."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from outboxed.messages import Amount, ConsumedAmount, ConsumedEvent, Event, Record, Timestamp
from outboxed.storage import Clock, SqlRepository, SqlUnitOfWork, Written
from outboxed.testing.memory import InMemoryDatabase, InMemoryRepository, InMemoryUnitOfWork, State
from outboxed.testing.records import event_record
from sqlalchemy.ext.asyncio import AsyncConnection

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


class AccountCredited(Event, type="account.credited.v1", topic="accounts", key_field="account_id"):
    account_id: UUID
    amount: Amount = Decimal("1.00")
    owner: str = "Ada"
    at: Timestamp = NOW


class MoneyMoved(ConsumedEvent, type="money.moved.v1", topic="moves", key_field="account_id"):
    account_id: UUID
    amount: ConsumedAmount


@dataclass(frozen=True)
class Account:
    id: UUID
    balance: Decimal = Decimal(0)
    version: int = 1

    def credit(self, amount: Decimal) -> "Account":
        return replace(self, balance=self.balance + amount, version=self.version + 1)


class UnspeakableError(Exception):
    """Its text fails, as of an error whose message was never given."""

    def __str__(self) -> str:
        raise AttributeError("message")


class InMemoryAccounts(InMemoryUnitOfWork):
    def __init__(self, state: State, *, source: str, now: datetime) -> None:
        super().__init__(state, source=source, now=now)
        self.accounts: InMemoryRepository[Account] = InMemoryRepository(state.table("accounts"))


def in_memory_accounts(clock: Clock | None = None) -> InMemoryDatabase[InMemoryAccounts]:
    return InMemoryDatabase(InMemoryAccounts, source="/accounts", clock=clock)


metadata = sa.MetaData()
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("position", sa.BigInteger, sa.Identity(always=True)),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("balance", sa.Numeric(12, 2), nullable=False),
)


class SqlAccounts(SqlUnitOfWork):
    def __init__(self, connection: AsyncConnection, *, source: str, clock: Clock, now: datetime) -> None:
        super().__init__(connection, source=source, clock=clock, now=now)
        self.accounts: SqlRepository[Account] = SqlRepository(
            connection, accounts, to_row=lambda account: vars(account).copy(), from_row=_account
        )

    def repositories(self) -> Iterable[Written]:
        return (self.accounts,)

    async def lock(self, keys: Sequence[str]) -> None:
        await self.accounts.lock(UUID(key) for key in keys)


def _account(row: Mapping[str, Any]) -> Account:
    return Account(row["id"], row["balance"], row["version"])


async def credit(event: MoneyMoved, uow: Any) -> None:
    """Refuses amounts of 13: a handler's bug, on demand."""
    if event.amount == 13:
        raise RuntimeError("unlucky")
    account = await uow.accounts.get(event.account_id)
    if account is None:
        credited = Account(event.account_id).credit(event.amount)
        uow.accounts.add(credited)
    else:
        credited = account.credit(event.amount)
        uow.accounts.save(credited)
    credited_event = AccountCredited(account_id=event.account_id, amount=event.amount)
    uow.events.append(credited_event, sequence=credited.version)


def moved(
    account_id: UUID | None = None, amount: str = "1.00", event_type: str = "money.moved.v1", **parts: Any
) -> Any:
    """As Kafka's client hands it over."""
    account_id = account_id or uuid4()
    data = {"account_id": str(account_id), "amount": amount}
    return event_record("moves", event_type, data, key=str(account_id), **parts)


def raw(record: Any) -> Record:
    """As BatchConsumer takes it."""
    return Record(record.topic, record.partition, record.offset, record.key, record.value, tuple(record.headers))
