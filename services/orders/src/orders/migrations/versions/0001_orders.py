"""Users, products, orders, idempotency keys and outboxed's tables."""

import sqlalchemy as sa
from alembic import op
from outboxed.storage import schema as messaging_schema
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)
_MONEY = sa.Numeric(20, 2)


def upgrade() -> None:
    messaging_schema.create_v1()
    _create_users()
    _create_products()
    _create_orders()
    _create_idempotency_keys()


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("is_member", sa.Boolean, nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_index("users_email", "users", [sa.text("lower(email)")], unique=True)


def _create_products() -> None:
    op.create_table(
        "products",
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("unit_price", _MONEY, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
    )


def _create_orders() -> None:
    op.create_table(
        "orders",
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
    )
    op.create_index("orders_of_user", "orders", ["user_id", "placed_at", "id"])
    op.create_index("orders_pending", "orders", ["pay_before"], postgresql_where=sa.text("status = 'PENDING'"))


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("request_hash", sa.Text, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("body", sa.Text),
        sa.Column("location", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_index("idempotency_keys_created_at", "idempotency_keys", ["created_at"])
