"""Tables and the SQL unit of work."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from outboxed.storage import Clock, Retention, SqlRepository, SqlUnitOfWork
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from orders.domain import (
    CancellationReason,
    Customer,
    EmailTakenError,
    Order,
    OrderItem,
    OrderStatus,
    Product,
    StatusChange,
    User,
    UserRole,
)
from orders.ports import PageKey, StoredResponse
from orders.pricing import Price

metadata = sa.MetaData()
_TIME = sa.DateTime(timezone=True)
_MONEY = sa.Numeric(20, 2)

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("is_member", sa.Boolean, nullable=False),
    sa.Column("is_active", sa.Boolean, nullable=False),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Index("users_email", sa.text("lower(email)"), unique=True),
)

products = sa.Table(
    "products",
    metadata,
    sa.Column("sku", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("unit_price", _MONEY, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
)

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("user_id", sa.Uuid, nullable=False),
    sa.Column("customer_email", sa.Text, nullable=False),
    sa.Column("customer_name", sa.Text, nullable=False),
    sa.Column("items", JSONB, nullable=False),
    sa.Column("subtotal", _MONEY, nullable=False),
    sa.Column("discount", _MONEY, nullable=False),
    sa.Column("total", _MONEY, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("payment_method", sa.Text, nullable=False),
    sa.Column("placed_at", _TIME, nullable=False),
    sa.Column("pay_before", _TIME, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("history", JSONB, nullable=False),
    sa.Index("orders_of_user", "user_id", "placed_at", "id"),
    sa.Index("orders_pending", "pay_before", postgresql_where=sa.text("status = 'PENDING'")),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request_hash", sa.Text, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("body", sa.Text),
    sa.Column("location", sa.Text),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Index("idempotency_keys_created_at", "created_at"),
)

IDEMPOTENCY_KEPT = timedelta(hours=24)
RETENTIONS = (Retention(idempotency_keys, "created_at", IDEMPOTENCY_KEPT),)


class SqlOrders(SqlRepository[Order]):
    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, orders, to_row=_order_row, from_row=_order)

    async def newest_of(self, user_id: UUID, *, after: PageKey | None, limit: int) -> Sequence[Order]:
        conditions: list[sa.ColumnElement[bool]] = [orders.c.user_id == user_id]
        if after is not None:
            position = sa.tuple_(orders.c.placed_at, orders.c.id)
            conditions.append(position < sa.tuple_(sa.literal(after.placed_at), sa.literal(after.order_id)))
        newest_first = (orders.c.placed_at.desc(), orders.c.id.desc())
        return await self.select(*conditions, order_by=newest_first, limit=limit)


class SqlUsers(SqlRepository[User]):
    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, users, to_row=_user_row, from_row=_user)

    async def find_by_email(self, email: str) -> User | None:
        found = await self.select(sa.func.lower(users.c.email) == email.lower())
        return found[0] if found else None

    async def register(self, user: User) -> None:
        # only the address may be taken; a conflict on any other key is an error
        by_email = [sa.func.lower(users.c.email)]
        statement = insert(users).values(_user_row(user)).on_conflict_do_nothing(index_elements=by_email)
        if (await self._connection.execute(statement.returning(users.c.id))).first() is None:
            raise EmailTakenError(user.email)


class SqlProducts:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def all(self) -> Sequence[Product]:
        return await self._select(sa.select(products).order_by(products.c.sku))

    async def find(self, skus: Iterable[str]) -> dict[str, Product]:
        found = await self._select(
            sa.select(products).where(products.c.sku == sa.any_(sa.literal(list(skus), sa.ARRAY(sa.Text))))
        )
        return {product.sku: product for product in found}

    async def put(self, new: Iterable[Product]) -> None:
        rows = [vars(product) for product in new]
        statement = insert(products).values(rows)
        replaced = {name: statement.excluded[name] for name in ("name", "unit_price", "currency")}
        await self._connection.execute(statement.on_conflict_do_update(index_elements=["sku"], set_=replaced))

    async def _select(self, query: sa.Select[*tuple[Any, ...]]) -> list[Product]:
        return [Product(**row) for row in (await self._connection.execute(query)).mappings()]


class SqlIdempotencyKeys:
    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    async def claim(self, user_id: UUID, key: str, request_hash: str) -> StoredResponse | None:
        """See ports.IdempotencyKeys. An insert waits for a concurrent one of the same key."""
        fresh = {"request_hash": request_hash, "created_at": self._now, "status": None, "body": None, "location": None}
        statement = insert(idempotency_keys).values(user_id=user_id, key=key, **fresh)
        claim = statement.on_conflict_do_update(
            index_elements=["user_id", "key"],
            set_=fresh,
            where=idempotency_keys.c.created_at <= self._now - IDEMPOTENCY_KEPT,
        ).returning(idempotency_keys.c.key)
        if (await self._connection.execute(claim)).first() is not None:
            return None
        row = (await self._connection.execute(sa.select(idempotency_keys).where(*_is(user_id, key)))).one()
        return StoredResponse(row.request_hash, row.status, row.body, row.location)

    async def store(self, user_id: UUID, key: str, response: StoredResponse) -> None:
        statement = sa.update(idempotency_keys).where(*_is(user_id, key)).values(vars(response))
        await self._connection.execute(statement)


class SqlOrdersUnitOfWork(SqlUnitOfWork):
    def __init__(self, connection: AsyncConnection, *, source: str, clock: Clock, now: datetime) -> None:
        super().__init__(connection, source=source, clock=clock, now=now)
        self.orders = SqlOrders(connection)
        self.users = SqlUsers(connection)
        self.products = SqlProducts(connection)
        self.idempotency_keys = SqlIdempotencyKeys(connection, now)

    def repositories(self) -> Iterable[SqlRepository[Any]]:
        """Flushed in this order."""
        return (self.users, self.orders)

    async def lock(self, keys: Sequence[str]) -> None:
        """Events are keyed by order id."""
        await self.orders.lock(UUID(key) for key in keys)


def overdue_orders(now: sa.ColumnElement[datetime]) -> sa.Select[int]:
    """How many orders are still PENDING after their deadline: their task should have cancelled them."""
    return sa.select(sa.func.count()).where(orders.c.status == OrderStatus.PENDING.value, orders.c.pay_before < now)


def _is(user_id: UUID, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return idempotency_keys.c.user_id == user_id, idempotency_keys.c.key == key


def _user_row(user: User) -> dict[str, object]:
    return {**vars(user), "role": user.role.value}


def _user(row: sa.RowMapping) -> User:
    return User(**{**row, "role": UserRole(row["role"])})


def _order_row(order: Order) -> dict[str, object]:
    return {
        "id": order.id,
        "version": order.version,
        "user_id": order.customer.id,
        "customer_email": order.customer.email,
        "customer_name": order.customer.name,
        "items": [
            {"sku": item.sku, "quantity": item.quantity, "unit_price": str(item.unit_price)} for item in order.items
        ],
        "subtotal": order.price.subtotal,
        "discount": order.price.discount,
        "total": order.price.total,
        "currency": order.currency,
        "payment_method": order.payment_method,
        "placed_at": order.placed_at,
        "pay_before": order.pay_before,
        "status": order.status.value,
        "history": [
            {"status": change.status.value, "at": change.at.isoformat(), "reason": change.reason}
            for change in order.history
        ],
    }


def _order(row: sa.RowMapping) -> Order:
    return Order(
        id=row["id"],
        version=row["version"],
        customer=Customer(row["user_id"], row["customer_email"], row["customer_name"]),
        items=tuple(OrderItem(item["sku"], item["quantity"], Decimal(item["unit_price"])) for item in row["items"]),
        price=Price(row["subtotal"], row["discount"], row["total"]),
        payment_method=row["payment_method"],
        placed_at=row["placed_at"],
        pay_before=row["pay_before"],
        status=OrderStatus(row["status"]),
        history=tuple(_change(change) for change in row["history"]),
        currency=row["currency"],
    )


def _change(change: dict[str, Any]) -> StatusChange:
    reason = change["reason"]
    return StatusChange(
        OrderStatus(change["status"]),
        datetime.fromisoformat(change["at"]),
        CancellationReason(reason) if reason else None,
    )
