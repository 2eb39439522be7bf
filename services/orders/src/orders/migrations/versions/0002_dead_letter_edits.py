"""Dead letters can be edited."""

from outboxed.storage import schema

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    schema.add_dead_letter_edits()
