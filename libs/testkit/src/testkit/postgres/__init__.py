"""PostgreSQL for tests: embedded, in a container, or given by its address."""

from testkit.postgres.container import ContainerPostgres
from testkit.postgres.embedded import EmbeddedPostgres
from testkit.postgres.errors import (
    DiskFullError,
    PortInUseError,
    PostgresError,
    PostgresNotInstalledError,
    PostgresStartError,
)
from testkit.postgres.given import GivenPostgres
from testkit.postgres.server import PostgresServer, asyncpg_url, connected
from testkit.postgres.templates import Migrate, migrated_template

__all__ = [
    "ContainerPostgres",
    "DiskFullError",
    "EmbeddedPostgres",
    "GivenPostgres",
    "Migrate",
    "PortInUseError",
    "PostgresError",
    "PostgresNotInstalledError",
    "PostgresServer",
    "PostgresStartError",
    "asyncpg_url",
    "connected",
    "migrated_template",
]
