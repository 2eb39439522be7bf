from payments.app import NAME
from payments.storage import metadata
from testkit.migration_suite import MigrationSuite


class TestMigrations(MigrationSuite):
    package = NAME
    metadata = metadata
