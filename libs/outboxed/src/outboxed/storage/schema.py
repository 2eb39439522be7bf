"""The tables of outboxed for a service's first migration; a later change of theirs is a function of its own here.

Written out, not taken from ``tables``: a migration that ran must not change with the code.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

_NOW = sa.text("clock_timestamp()")
_TIME = sa.DateTime(timezone=True)


def create_v1() -> None:
    """Create outbox, inbox, tasks and dead letters."""
    _create_outbox()
    _create_inbox()
    _create_tasks()
    _create_dead_letters()


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
    )


def _create_inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("handled_at", _TIME, nullable=False, server_default=_NOW),
    )
    op.create_index("inbox_handled_at", "inbox", ["handled_at"])


def _create_tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("task_group", sa.Text),
        sa.Column("payload", JSONB, nullable=False),
        sa.Column("traceparent", sa.Text),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("first_due_at", _TIME, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("leased_until", _TIME),
        sa.Column("lease_token", UUID(as_uuid=True)),
        sa.Column("last_error", sa.Text),
        sa.UniqueConstraint("kind", "key", name="tasks_kind_key"),
    )
    op.create_index("tasks_kind_due_at", "tasks", ["kind", "due_at"])
    op.create_index("tasks_task_group", "tasks", ["task_group", "id"])


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("source", sa.Text, sa.CheckConstraint("source in ('event', 'task')"), nullable=False),
        sa.Column("consumer_group", sa.Text),
        sa.Column("topic", sa.Text),
        sa.Column("partition", sa.Integer),
        sa.Column("offset", sa.BigInteger),
        sa.Column("key", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary),
        sa.Column("headers", sa.LargeBinary, nullable=False, comment="JSON: [[name, base64 or null], ...]"),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("failed_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column(
            "status",
            sa.Text,
            sa.CheckConstraint("status in ('open', 'replayed', 'discarded')"),
            nullable=False,
            server_default=sa.text("'open'"),
        ),
        sa.Column("closed_at", _TIME),
        sa.UniqueConstraint("consumer_group", "topic", "partition", "offset", name="dead_letters_position"),
    )


def add_dead_letter_edits() -> None:
    """Let a person repair a dead letter; what was given up stays beside it, unchanged."""
    op.add_column("dead_letters", sa.Column("edited_at", _TIME))
    op.add_column("dead_letters", sa.Column("edited_key", sa.LargeBinary))
    op.add_column("dead_letters", sa.Column("edited_value", sa.LargeBinary))
    comment = "as headers; all three count once edited_at is set"
    op.add_column("dead_letters", sa.Column("edited_headers", sa.LargeBinary, comment=comment))
