"""The e-mails of each order and outboxed's tables."""

import sqlalchemy as sa
from alembic import op
from outboxed.storage import schema as messaging_schema
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None


def upgrade() -> None:
    messaging_schema.create_v1()
    op.create_table(
        "order_notifications",
        sa.Column("id", sa.Uuid, primary_key=True, comment="the order's id"),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("notifications", JSONB, nullable=False),
    )
