from orders.app import NAME
from orders.storage import metadata
from outboxed.testing.migration_suite import MigrationSuite


class TestMigrations(MigrationSuite):
    package = NAME
    metadata = metadata
