from outboxed.testing.suites.migrations import MigrationSuite
from payments.app import NAME
from payments.storage import metadata


class TestMigrations(MigrationSuite):
    package = NAME
    metadata = metadata
