"""The four tables of outboxed; they live in each service's own database and in its own migrations.

Three of them can also be made under other names, in another schema, and in a project's own MetaData.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.schema import conv

metadata = sa.MetaData()
MAX_NAME = 40
"""Characters: PostgreSQL cuts a name after 63, and the names of indexes and of the sequence are longer."""


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    default = None if nullable else sa.text("clock_timestamp()")
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=default)


_SHARED = "outboxed_shared"
"""The mark of a table that several parts of a project use."""

_RECORD_DIGEST = (
    r"sha256(coalesce(sha256(key), '\x00'::bytea) || coalesce(sha256(value), '\x00'::bytea) || sha256(headers))"
)
"""What the record is. Its position alone is not enough: a topic that is made again has the same offsets again."""


def _check(name: str) -> None:
    if not 0 < len(name) <= MAX_NAME:
        raise ValueError(f"the table's name {name!r} must have 1 to {MAX_NAME} characters")


def outbox_in(metadata: sa.MetaData, name: str = "outbox", schema: str | None = None) -> sa.Table:
    """Records that are to be sent. Raises ValueError for a name of more than MAX_NAME characters."""
    _check(name)
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        _time("created_at"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("retry_at", sa.DateTime(timezone=True), comment="null unless held; infinity behind another row"),
        sa.Index(conv(f"{name}_free"), "id", postgresql_where=sa.text("retry_at is null")),
        sa.Index(conv(f"{name}_held"), "topic", "key", "id", postgresql_where=sa.text("retry_at is not null")),
        schema=schema,
    )


def inbox_in(metadata: sa.MetaData, name: str = "inbox", schema: str | None = None) -> sa.Table:
    """Events that were handled. Raises ValueError for a name of more than MAX_NAME characters."""
    _check(name)
    return sa.Table(
        name,
        metadata,
        sa.Column("event_id", sa.Text, primary_key=True, comment="the id; for a namesake id, U+001F and source"),
        sa.Column("source", sa.Text, comment="null in rows of a release that noted none"),
        _time("handled_at"),
        sa.Index(conv(f"{name}_handled_at"), "handled_at"),
        schema=schema,
    )


def dead_letters_in(metadata: sa.MetaData, name: str = "dead_letters", schema: str | None = None) -> sa.Table:
    """What was given up: the table of that name if there is one already, since several parts share it.

    Raises ValueError for a name of more than MAX_NAME characters.
    """
    _check(name)
    there = metadata.tables.get(".".join(filter(None, (schema or metadata.schema, name))))
    if there is not None and there.info.get(_SHARED):
        return there
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "source",
            sa.Text,
            sa.CheckConstraint("source in ('event', 'task', 'outbox')", name=conv(f"{name}_source_check")),
            nullable=False,
        ),
        sa.Column("consumer_group", sa.Text),
        sa.Column("topic", sa.Text),
        sa.Column("partition", sa.Integer),
        sa.Column("offset", sa.BigInteger),
        sa.Column("key", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary),
        sa.Column("headers", sa.LargeBinary, nullable=False, comment="JSON: [[name, base64 or null], ...]"),
        sa.Column("reason", sa.Text, nullable=False),
        _time("failed_at"),
        sa.Column(
            "status",
            sa.Text,
            sa.CheckConstraint("status in ('open', 'replayed', 'discarded')", name=conv(f"{name}_status_check")),
            nullable=False,
            server_default=sa.text("'open'"),
        ),
        _time("closed_at", nullable=True),
        _time("edited_at", nullable=True),
        sa.Column("edited_key", sa.LargeBinary),
        sa.Column("edited_value", sa.LargeBinary),
        sa.Column("edited_headers", sa.LargeBinary, comment="as headers; all three count once edited_at is set"),
        sa.Column("record_digest", sa.LargeBinary, sa.Computed(_RECORD_DIGEST, persisted=True)),
        sa.UniqueConstraint(
            "consumer_group", "topic", "partition", "offset", "record_digest", name=conv(f"{name}_position")
        ),
        sa.Index(
            conv(f"{name}_of_outbox"),
            "topic",
            "key",
            unique=True,
            postgresql_where=sa.text("source = 'outbox' and status = 'open'"),
        ),
        schema=schema,
        info={_SHARED: True},
    )


def tasks_in(metadata: sa.MetaData, name: str = "tasks", schema: str | None = None) -> sa.Table:
    """Calls and deadlines that wait. Raises ValueError for a name of more than MAX_NAME characters."""
    _check(name)
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("task_group", sa.Text),
        sa.Column("payload", JSONB, nullable=False),
        sa.Column("traceparent", sa.Text),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("leased_until", sa.DateTime(timezone=True)),
        sa.Column("lease_token", UUID(as_uuid=True)),
        sa.Column("last_error", sa.Text),
        sa.UniqueConstraint("kind", "key", name=conv(f"{name}_kind_key")),
        sa.Index(conv(f"{name}_kind_due_at"), "kind", "due_at"),
        sa.Index(conv(f"{name}_task_group"), "task_group", "id"),
        sa.Index(conv(f"{name}_postponed"), "kind", "first_due_at", postgresql_where=sa.text("due_at > first_due_at")),
        schema=schema,
    )


outbox = outbox_in(metadata)
inbox = inbox_in(metadata)
dead_letters = dead_letters_in(metadata)
tasks = tasks_in(metadata)
