"""The errors of starting a PostgreSQL; each message is one line that says what to do."""


class PostgresError(RuntimeError):
    """A PostgreSQL server for tests could not be had."""


class PostgresNotInstalledError(PostgresError):
    """No PostgreSQL binaries: the wheel is missing, or has none for this platform."""


class PgBouncerNotInstalledError(PostgresError):
    """No PgBouncer on this machine."""


class PortInUseError(PostgresError):
    """Another process has the chosen TCP port."""


class DiskFullError(PostgresError):
    """No room for the data directory."""


class PostgresStartError(PostgresError):
    """The server, or the pooler before it, ended, or never became ready; the message ends with its last log lines."""
