"""A row that Kafka refuses is set aside, and holds up its key alone."""

from outboxed.storage import schema

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    schema.add_refusals()
