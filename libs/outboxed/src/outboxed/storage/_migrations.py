"""Migrations under a lock, and whether a database's schema is new enough for this code."""

from functools import cache
from importlib import import_module
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine

from outboxed._compat.alembic import one_at_a_time

LOCK_ID = 0x6D696772617465
"""The advisory lock of a database's one running migration ("migrate" in ASCII)."""


def _config(package: str) -> Config:
    config = Config()
    config.set_main_option("script_location", f"{package}:migrations")
    return config


def migrations_path(package: str) -> Path:
    """The folder of a service's migrations; a test database's template is keyed by its content."""
    return Path(str(import_module(package).__file__)).parent / "migrations"


MIGRATION_SECONDS = 600
"""Long, because a migration may rewrite a table."""


async def migrate(engine: AsyncEngine, package: str) -> None:
    """Bring the schema to this code's head; a concurrent run waits and then finds nothing to do.

    Several databases may be migrated on one event loop at once, but not in several threads.
    """

    def upgrade(connection: sa.Connection) -> None:
        config = _config(package)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    async with one_at_a_time(), engine.begin() as connection:
        await connection.execute(sa.text("set local lock_timeout = '60s'"))
        await connection.execute(sa.text(f"set local statement_timeout = '{MIGRATION_SECONDS}s'"))
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK_ID)))
        # a migration that waits for a table's lock blocks every later reader of the table
        await connection.execute(sa.text("set local lock_timeout = '5s'"))
        await connection.run_sync(upgrade)


async def schema_problem(engine: AsyncEngine, package: str) -> str | None:
    """What a person must do before this code can run on the database; None when its schema is new enough.

    A revision that this code doesn't know is of a newer release. Its schema will do, because migrations only add.
    """

    def current(connection: sa.Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    async with engine.connect() as connection:
        revision = await connection.run_sync(current)
    if revision is None or revision in _outdated(package):
        return f"the schema is at {revision or 'nothing'}: run `python -m {package} migrate`"
    return None


@cache
def _outdated(package: str) -> frozenset[str]:
    """All revisions but the newest; cached, because every readiness check asks."""
    scripts = ScriptDirectory.from_config(_config(package))
    known = {script.revision for script in scripts.walk_revisions()}
    return frozenset(known - set(scripts.get_heads()))
