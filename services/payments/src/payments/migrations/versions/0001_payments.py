"""Payments and outboxed's tables."""

from alembic import op
from outboxed.storage import schema

revision = "0001"
down_revision = None


def upgrade() -> None:
    schema.create_v1()
    op.execute("""
        create table payments (
            id uuid primary key,
            version integer not null,
            order_id uuid not null unique,
            status text not null,
            amount numeric(20, 2),
            currency text,
            payment_method text,
            pay_before timestamptz,
            charge_id text,
            history jsonb not null
        )""")
