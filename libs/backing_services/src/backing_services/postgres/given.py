"""A PostgreSQL that somebody else runs, named by its address."""

import re
from urllib.parse import quote, urlsplit

from backing_services.postgres.server import PostgresServer


class GivenPostgres(PostgresServer):
    """The server behind `url`, whose role may create databases. Statements about databases go to `url`'s own one."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        # asyncpg and libpq say sslmode where SQLAlchemy says ssl
        query = re.sub("(^|&)sslmode=", r"\1ssl=", parts.query)
        self._parts = parts._replace(scheme="postgresql+asyncpg", query=query)
        self.maintenance_database = parts.path.removeprefix("/")
        self.name = f"given {parts.hostname or 'by socket'}{f':{parts.port}' if parts.port else ''}"

    def url(self, database: str) -> str:
        return self._parts._replace(path=f"/{quote(database)}").geturl()

    def start(self) -> None:
        """Do nothing: the server runs already, or the first connection fails."""

    def close(self) -> None:
        """Leave it running: these tests did not start it."""
