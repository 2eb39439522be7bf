"""Users, products, orders, idempotency keys and outboxed's tables."""

from alembic import op
from outboxed.storage import schema

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    create table users (
        id uuid primary key,
        version integer not null,
        email text not null,
        name text not null,
        password_hash text not null,
        role text not null,
        is_member boolean not null,
        is_active boolean not null,
        created_at timestamptz not null
    )""",
    "create unique index users_email on users (lower(email))",
    """
    create table products (
        sku text primary key,
        name text not null,
        unit_price numeric(20, 2) not null,
        currency text not null
    )""",
    """
    create table orders (
        id uuid primary key,
        version integer not null,
        user_id uuid not null,
        customer_email text not null,
        customer_name text not null,
        items jsonb not null,
        subtotal numeric(20, 2) not null,
        discount numeric(20, 2) not null,
        total numeric(20, 2) not null,
        currency text not null,
        payment_method text not null,
        placed_at timestamptz not null,
        pay_before timestamptz not null,
        status text not null,
        history jsonb not null
    )""",
    "create index orders_of_user on orders (user_id, placed_at, id)",
    "create index orders_pending on orders (pay_before) where status = 'PENDING'",
    """
    create table idempotency_keys (
        user_id uuid,
        key text,
        request_hash text not null,
        status integer,
        body text,
        location text,
        created_at timestamptz not null,
        primary key (user_id, key)
    )""",
    "create index idempotency_keys_created_at on idempotency_keys (created_at)",
)


def upgrade() -> None:
    schema.create_v1()
    for statement in STATEMENTS:
        op.execute(statement)
