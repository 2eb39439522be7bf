"""Alembic's entry: outboxed.storage.migrate gives the connection."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
