"""Metrics find the oldest task that was postponed by an index."""

from outboxed.storage import schema

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    schema.add_postponed_tasks()
