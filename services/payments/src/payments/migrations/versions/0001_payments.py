"""Payments and outboxed's tables."""

import sqlalchemy as sa
from alembic import op
from outboxed.storage import schema as messaging_schema
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None


def upgrade() -> None:
    messaging_schema.create_v1()
    op.create_table(
        "payments",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False, unique=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("amount", sa.Numeric(20, 2)),
        sa.Column("currency", sa.Text),
        sa.Column("payment_method", sa.Text),
        sa.Column("pay_before", sa.DateTime(timezone=True)),
        sa.Column("charge_id", sa.Text),
        sa.Column("history", JSONB, nullable=False),
    )
