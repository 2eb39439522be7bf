"""The ports in memory; tests/parity holds them to what the SQL ones do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from orders.domain import EmailTakenError, Order, Product, User
from orders.ports import PageKey, StoredResponse
from outboxed.storage import Clock, ConcurrentInsertError
from outboxed.testing.memory import InMemoryDatabase, InMemoryRepository, InMemoryUnitOfWork, State


class InMemoryOrders(InMemoryRepository[Order]):
    async def newest_of(self, user_id: UUID, *, after: PageKey | None, limit: int) -> Sequence[Order]:
        mine = [order for order in self.rows.values() if order.customer.id == user_id]
        newest_first = sorted(mine, key=lambda order: (order.placed_at, order.id), reverse=True)
        if after is not None:
            end = (after.placed_at, after.order_id)
            newest_first = [order for order in newest_first if (order.placed_at, order.id) < end]
        return newest_first[:limit]


class InMemoryUsers(InMemoryRepository[User]):
    async def find_by_email(self, email: str) -> User | None:
        return next((user for user in self.rows.values() if user.email.lower() == email.lower()), None)

    async def register(self, user: User) -> None:
        if await self.find_by_email(user.email) is not None:
            raise EmailTakenError(user.email)
        self.add(user)


class InMemoryProducts:
    def __init__(self, rows: dict[str, Product]) -> None:
        self._rows = rows

    async def all(self) -> Sequence[Product]:
        return [self._rows[sku] for sku in sorted(self._rows)]

    async def find(self, skus: Iterable[str]) -> dict[str, Product]:
        return {sku: self._rows[sku] for sku in skus if sku in self._rows}

    async def put(self, products: Iterable[Product]) -> None:
        self._rows.update((product.sku, product) for product in products)


@dataclass(frozen=True)
class IdempotencyRow:
    created_at: datetime
    response: StoredResponse


class InMemoryIdempotencyKeys:
    def __init__(self, rows: dict[tuple[UUID, str], IdempotencyRow], now: datetime) -> None:
        self._rows = rows
        self._now = now

    async def find(self, user_id: UUID, key: str) -> StoredResponse | None:
        row = self._kept(user_id, key)
        return row.response if row else None

    def add(self, user_id: UUID, key: str, response: StoredResponse) -> None:
        if self._kept(user_id, key):
            raise ConcurrentInsertError(key)
        self._rows[user_id, key] = IdempotencyRow(self._now, response)

    def _kept(self, user_id: UUID, key: str) -> IdempotencyRow | None:
        row = self._rows.get((user_id, key))
        return row if row is not None and row.created_at > self._now - timedelta(hours=24) else None


class InMemoryOrdersUnitOfWork(InMemoryUnitOfWork):
    def __init__(self, state: State, *, source: str, now: datetime) -> None:
        super().__init__(state, source=source, now=now)
        self.orders = InMemoryOrders(state.table("orders"))
        self.users = InMemoryUsers(state.table("users"))
        self.products = InMemoryProducts(state.table("products"))
        self.idempotency_keys = InMemoryIdempotencyKeys(state.table("idempotency_keys"), now)


def in_memory_orders(clock: Clock | None = None) -> InMemoryDatabase[InMemoryOrdersUnitOfWork]:
    return InMemoryDatabase(InMemoryOrdersUnitOfWork, source="/orders", clock=clock)


class PlainPasswords:
    """Instant, and as blunt as its name: argon2id has tests of its own. `hashed` counts what it takes long for."""

    def __init__(self) -> None:
        self.hashed = 0

    async def hash(self, password: str) -> str:
        self.hashed += 1
        return f"plain:{password}"

    async def verify(self, password_hash: str, password: str) -> bool:
        self.hashed += 1
        return password_hash == f"plain:{password}"


async def stored(database: Any, *, orders: Iterable[Order] = (), users: Iterable[User] = ()) -> None:
    async with database() as uow:
        for order in orders:
            uow.orders.add(order)
        for user in users:
            await uow.users.register(user)
