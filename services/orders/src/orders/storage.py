"""Tables and the SQL unit of work."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from outboxed.storage import (
    Clock,
    ConcurrentInsertError,
    Retention,
    SqlRepository,
    SqlUnitOfWork,
    Statement,
    UnnestedRows,
    Write,
    WriteForm,
    Written,
    column_types,
)
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
SETTLED_AT = 1
"""Which line of an order's history is its first outcome; the one before is its placing."""
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
        found = await self._connection.execute(sa.select(products).order_by(products.c.sku))
        return [Product(**row) for row in found.mappings()]

    async def find(self, skus: Iterable[str]) -> dict[str, Product]:
        found = await _FIND_PRODUCTS.mappings(self._connection, {"skus": list(skus)}, alone=True)
        return {product.sku: product for product in (Product(**row) for row in found)}

    async def put(self, new: Iterable[Product]) -> None:
        rows = [vars(product) for product in new]
        statement = insert(products).values(rows)
        replaced = {name: statement.excluded[name] for name in ("name", "unit_price", "currency")}
        await self._connection.execute(statement.on_conflict_do_update(index_elements=["sku"], set_=replaced))


class SqlIdempotencyKeys:
    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._added: list[dict[str, object]] = []

    async def find(self, user_id: UUID, key: str) -> StoredResponse | None:
        """See ports.IdempotencyKeys. A key that is too old is as good as none."""
        sought = {"of_user": user_id, "of_key": key, "forgotten": self._now - IDEMPOTENCY_KEPT}
        found = await _FIND_KEY.rows(self._connection, sought, alone=True)
        return StoredResponse(*found[0]) if found else None

    def add(self, user_id: UUID, key: str, response: StoredResponse) -> None:
        """See ports.IdempotencyKeys."""
        self._added.append({"user_id": user_id, "key": key, **vars(response), "created_at": self._now})

    @property
    def has_changes(self) -> bool:
        return bool(self._added)

    def writes(self) -> Iterator[Write]:
        """What was added; an insertion waits for a concurrent one of the same key."""
        if self._added:
            yield Write(_NEW_KEYS, self._added, _raise_that_a_twin_was_faster)


class SqlOrdersUnitOfWork(SqlUnitOfWork):
    def __init__(self, connection: AsyncConnection, *, source: str, clock: Clock, now: datetime) -> None:
        super().__init__(connection, source=source, clock=clock, now=now)
        self.orders = SqlOrders(connection)
        self.users = SqlUsers(connection)
        self.products = SqlProducts(connection)
        self.idempotency_keys = SqlIdempotencyKeys(connection, now)

    def repositories(self) -> Iterable[Written]:
        """Written in this order: who waits for a twin holds no lock of another row."""
        return (self.idempotency_keys, self.users, self.orders)

    async def lock(self, keys: Sequence[str]) -> None:
        """Events are keyed by order id."""
        await self.orders.lock(UUID(key) for key in keys)


def overdue_orders(now: sa.ColumnElement[datetime]) -> sa.Select[int]:
    """How many orders are still PENDING after their deadline: their task should have cancelled them."""
    return sa.select(sa.func.count()).where(orders.c.status == OrderStatus.PENDING.value, orders.c.pay_before < now)


def settled(uow: SqlOrdersUnitOfWork) -> Iterator[tuple[str, float]]:
    """The orders that had their first outcome in this transaction: which, and how many seconds after their placing."""
    for order in uow.orders.changed:
        if len(order.history) == SETTLED_AT + 1:
            first = order.history[SETTLED_AT]
            yield (first.reason or first.status).value.lower(), (first.at - order.placed_at).total_seconds()


_ANSWER = ("request_hash", "status", "body", "location")
"""Columns of a StoredResponse."""


def _insertion_of_keys(new: UnnestedRows, after: sa.ColumnElement[bool]) -> Any:
    """A key that is too old is as good as none."""
    statement = insert(idempotency_keys).from_select(new.names, sa.select(*new.columns).where(after))
    fresh = {name: statement.excluded[name] for name in (*_ANSWER, "created_at")}
    forgotten = idempotency_keys.c.created_at <= statement.excluded.created_at - sa.literal(IDEMPOTENCY_KEPT)
    replaced = statement.on_conflict_do_update(index_elements=["user_id", "key"], set_=fresh, where=forgotten)
    return replaced.returning(idempotency_keys.c.key)


async def _raise_that_a_twin_was_faster(_: int) -> None:
    raise ConcurrentInsertError("another request with this idempotency key was faster")


_NEW_KEYS = WriteForm(column_types(idempotency_keys, ["user_id", "key", *_ANSWER, "created_at"]), _insertion_of_keys)
_FIND_KEY = Statement(
    sa.select(*(idempotency_keys.c[name] for name in _ANSWER)).where(
        idempotency_keys.c.user_id == sa.bindparam("of_user"),
        idempotency_keys.c.key == sa.bindparam("of_key"),
        idempotency_keys.c.created_at > sa.bindparam("forgotten"),
    )
)
_FIND_PRODUCTS = Statement(
    sa.select(products).where(products.c.sku == sa.any_(sa.bindparam("skus", type_=sa.ARRAY(sa.Text))))
)


def _user_row(user: User) -> dict[str, object]:
    return {**vars(user), "role": user.role.value}


def _user(row: Mapping[str, Any]) -> User:
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


def _order(row: Mapping[str, Any]) -> Order:
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
