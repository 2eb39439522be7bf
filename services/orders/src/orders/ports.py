"""What the handlers ask of the world outside."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from outboxed import ports

from orders.domain import Order, Product, User


@dataclass(frozen=True)
class PageKey:
    """Where a page of orders ended."""

    placed_at: datetime
    order_id: UUID


class Orders(Protocol):
    """The orders; `get` locks, `find` only looks."""

    async def get(self, key: UUID) -> Order | None: ...
    async def find(self, key: UUID) -> Order | None: ...
    async def newest_of(self, user_id: UUID, *, after: PageKey | None, limit: int) -> Sequence[Order]:
        """A customer's orders, newest first, from behind `after`."""
        ...

    def add(self, aggregate: Order) -> None: ...
    def save(self, aggregate: Order) -> None: ...


class Users(Protocol):
    """The accounts."""

    async def get(self, key: UUID) -> User | None: ...
    async def find(self, key: UUID) -> User | None: ...
    async def find_by_email(self, email: str) -> User | None:
        """By address, whatever its case."""
        ...

    async def register(self, user: User) -> None:
        """Raises EmailTakenError."""
        ...

    def save(self, aggregate: User) -> None: ...


class Products(Protocol):
    """The catalogue."""

    async def all(self) -> Sequence[Product]:
        """By sku."""
        ...

    async def find(self, skus: Iterable[str]) -> dict[str, Product]:
        """Those that exist, by sku."""
        ...

    async def put(self, products: Iterable[Product]) -> None:
        """Add or replace."""
        ...


@dataclass(frozen=True)
class StoredResponse:
    """The answer to the first request under an idempotency key."""

    request_hash: str
    status: int
    body: str
    location: str


class IdempotencyKeys(Protocol):
    """One row a user and key, kept for 24 hours."""

    async def find(self, user_id: UUID, key: str) -> StoredResponse | None:
        """The answer that was committed under a key."""
        ...

    def add(self, user_id: UUID, key: str, response: StoredResponse) -> None:
        """Keep an answer.

        The end of the transaction waits for a concurrent one of the same key, and raises ConcurrentInsertError if that
        has committed.
        """
        ...


class PasswordHasher(Protocol):
    """A slow hash on purpose: call it outside transactions. It may be busy, and says so with an ApiError."""

    async def hash(self, password: str) -> str: ...
    async def verify(self, password_hash: str, password: str) -> bool: ...


class UnitOfWork(ports.UnitOfWork, Protocol):
    """One transaction of this service."""

    @property
    def orders(self) -> Orders: ...
    @property
    def users(self) -> Users: ...
    @property
    def products(self) -> Products: ...
    @property
    def idempotency_keys(self) -> IdempotencyKeys: ...
