from notifications.app import NAME
from notifications.storage import metadata
from outboxed.testing.suites.migrations import MigrationSuite


class TestMigrations(MigrationSuite):
    package = NAME
    metadata = metadata
