"""An event is known by source and id, a dead letter by position and content."""

from outboxed.storage import schema

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    schema.add_identities()
