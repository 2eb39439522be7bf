"""A PostgreSQL that somebody else runs, named by its address."""

from urllib.parse import quote, urlsplit

from backing_services.postgres.server import PostgresServer


class GivenPostgres(PostgresServer):
    """The server behind `url`, whose role may create databases. Statements about databases go to `url`'s own one."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._parts = parts._replace(scheme="postgresql+asyncpg")
        self.maintenance_database = parts.path.removeprefix("/")
        self.name = f"given {parts.hostname or 'by socket'}{f':{parts.port}' if parts.port else ''}"

    def url(self, database: str) -> str:
        return self._parts._replace(path=f"/{quote(database)}").geturl()

    def start(self) -> None:
        """Do nothing: the server runs already, or the first connection fails."""

    def close(self) -> None:
        """Leave it running: these tests did not start it."""
