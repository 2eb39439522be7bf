from orders.app import NAME
from orders.storage import metadata
from outboxed.testing.suites.migrations import MigrationSuite


class TestMigrations(MigrationSuite):
    package = NAME
    metadata = metadata
