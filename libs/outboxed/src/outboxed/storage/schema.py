"""The tables of outboxed, for a service's first migration; each later change is a function of its own.

The SQL is written out, not taken from `tables`: a migration that has run must not change with the code.
"""

from outboxed._extras import extra

with extra("migrations", of="outboxed.storage.schema"):
    from alembic import op

_V1 = (
    """
    create table outbox (
        id bigint generated always as identity primary key,
        topic text not null,
        key text not null,
        value bytea not null,
        headers jsonb not null,
        created_at timestamptz not null default clock_timestamp()
    )""",
    """
    create table inbox (
        event_id text primary key,
        handled_at timestamptz not null default clock_timestamp()
    )""",
    "create index inbox_handled_at on inbox (handled_at)",
    """
    create table tasks (
        id bigint generated always as identity primary key,
        kind text not null,
        key text not null,
        task_group text,
        payload jsonb not null,
        traceparent text,
        due_at timestamptz not null,
        first_due_at timestamptz not null,
        attempts integer not null default 0,
        leased_until timestamptz,
        lease_token uuid,
        last_error text,
        constraint tasks_kind_key unique (kind, key)
    )""",
    "create index tasks_kind_due_at on tasks (kind, due_at)",
    "create index tasks_task_group on tasks (task_group, id)",
    """
    create table dead_letters (
        id bigint generated always as identity primary key,
        source text not null check (source in ('event', 'task')),
        consumer_group text,
        topic text,
        partition integer,
        "offset" bigint,
        key bytea,
        value bytea,
        headers bytea not null,
        reason text not null,
        failed_at timestamptz not null default clock_timestamp(),
        status text not null default 'open' check (status in ('open', 'replayed', 'discarded')),
        closed_at timestamptz,
        constraint dead_letters_position unique (consumer_group, topic, partition, "offset")
    )""",
    "comment on column dead_letters.headers is 'JSON: [[name, base64 or null], ...]'",
)
_DEAD_LETTER_EDITS = (
    """
    alter table dead_letters
        add edited_at timestamptz,
        add edited_key bytea,
        add edited_value bytea,
        add edited_headers bytea
    """,
    "comment on column dead_letters.edited_headers is 'as headers; all three count once edited_at is set'",
)

_IDENTITIES = (
    "alter table inbox add source text",
    "comment on column inbox.event_id is 'the id; for a namesake id, U+001F and source'",
    "comment on column inbox.source is 'null in rows of a release that noted none'",
    # the database makes the digest, and the constraint keeps its name: the release before goes on adding letters
    r"""
    alter table dead_letters
        add record_digest bytea generated always as (
            sha256(coalesce(sha256(key), '\x00'::bytea) || coalesce(sha256(value), '\x00'::bytea) || sha256(headers))
        ) stored,
        drop constraint dead_letters_position,
        add constraint dead_letters_position unique (consumer_group, topic, partition, "offset", record_digest)
    """,
)

_REFUSALS = (
    "alter table outbox add attempts integer not null default 0, add retry_at timestamptz",
    "comment on column outbox.retry_at is 'null unless held; infinity behind another row'",
    "create index outbox_free on outbox (id) where retry_at is null",
    "create index outbox_held on outbox (topic, key, id) where retry_at is not null",
    """
    alter table dead_letters
        drop constraint dead_letters_source_check,
        add constraint dead_letters_source_check check (source in ('event', 'task', 'outbox'))
    """,
    # of a key one letter at most is open: the later rows wait behind it
    """
    create unique index dead_letters_of_outbox on dead_letters (topic, key)
        where source = 'outbox' and status = 'open'
    """,
)

_POSTPONED = ("create index tasks_postponed on tasks (kind, first_due_at) where due_at > first_due_at",)


def create_v1() -> None:
    """Create outbox, inbox, tasks and dead letters."""
    for statement in _V1:
        op.execute(statement)


def add_dead_letter_edits() -> None:
    """Let a person edit a dead letter; the original stays in its own columns."""
    for statement in _DEAD_LETTER_EDITS:
        op.execute(statement)


def add_identities() -> None:
    """Know an event by source and id, and a dead letter by its record's position and content.

    Nothing in the inbox is rewritten. The dead letters are; they are few, and a consumer with another one tries again.
    """
    for statement in _IDENTITIES:
        op.execute(statement)


def add_refusals() -> None:
    """Set aside what Kafka refuses, and hold the later rows of its key.

    A relay of the release before sends these later rows: end its processes before a person closes such a letter.
    """
    for statement in _REFUSALS:
        op.execute(statement)


def add_postponed_tasks() -> None:
    """Find the oldest task of a kind that was postponed without reading all; a task that never is costs nothing."""
    for statement in _POSTPONED:
        op.execute(statement)
