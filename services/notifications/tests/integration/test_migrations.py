from notifications.app import NAME
from notifications.storage import metadata
from outboxed.testing.migration_suite import MigrationSuite


class TestMigrations(MigrationSuite):
    package = NAME
    metadata = metadata
