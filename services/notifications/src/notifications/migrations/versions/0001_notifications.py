"""The notifications of each order and outboxed's tables."""

from alembic import op
from outboxed.storage import schema

revision = "0001"
down_revision = None


def upgrade() -> None:
    schema.create_v1()
    op.execute("""
        create table order_notifications (
            id uuid primary key,
            version integer not null,
            email text,
            notifications jsonb not null
        )""")
    op.execute("comment on column order_notifications.id is 'the order''s id'")
