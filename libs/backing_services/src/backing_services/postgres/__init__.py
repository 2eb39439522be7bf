"""PostgreSQL for tests: embedded, in a container, or given by its address; and a pooler before it."""

from backing_services.postgres.container import ContainerPostgres
from backing_services.postgres.embedded import EmbeddedPostgres
from backing_services.postgres.errors import (
    DiskFullError,
    PgBouncerNotInstalledError,
    PortInUseError,
    PostgresError,
    PostgresNotInstalledError,
    PostgresStartError,
)
from backing_services.postgres.given import GivenPostgres
from backing_services.postgres.isolation import DatabaseIsolation, IsolationError, rolled_back
from backing_services.postgres.pooler import PgBouncer
from backing_services.postgres.server import PostgresServer, asyncpg_url, connected
from backing_services.postgres.synchronous import SyncDatabaseIsolation, django_address
from backing_services.postgres.templates import Migrate, migrated_template

__all__ = [
    "ContainerPostgres",
    "DatabaseIsolation",
    "DiskFullError",
    "EmbeddedPostgres",
    "GivenPostgres",
    "IsolationError",
    "Migrate",
    "PgBouncer",
    "PgBouncerNotInstalledError",
    "PortInUseError",
    "PostgresError",
    "PostgresNotInstalledError",
    "PostgresServer",
    "PostgresStartError",
    "SyncDatabaseIsolation",
    "asyncpg_url",
    "connected",
    "django_address",
    "migrated_template",
    "rolled_back",
]
