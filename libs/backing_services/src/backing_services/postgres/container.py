"""PostgreSQL in a container, for tests on the same server as in production."""

import os
from typing import TYPE_CHECKING

from backing_services.containers import why_no_container
from backing_services.postgres.errors import PostgresError
from backing_services.postgres.server import PostgresServer

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

IMAGE = "POSTGRES_IMAGE"
PORT = 5432
FORGETFUL = "postgres -c max_connections=200 -c fsync=off -c full_page_writes=off -c synchronous_commit=off"
DURABLE = "postgres -c max_connections=200"


class ContainerPostgres(PostgresServer):
    """A container of `$POSTGRES_IMAGE`, else postgres:18.

    `start()` raises PostgresError where no such container can run, else what testcontainers and Docker raise.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self.image = os.environ.get(IMAGE, "postgres:18")
        self.name = f"container {self.image}"
        self._command = DURABLE if durable else FORGETFUL
        self._container: DockerContainer | None = None
        self._address = ""

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres@{self._address}/{database}"

    def start(self) -> None:
        """Start the container and wait until the server accepts connections over TCP."""
        if reason := why_no_container(self.image, IMAGE):
            raise PostgresError(reason)
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - 0.3 s for those who need it
        from testcontainers.core.wait_strategies import LogMessageWaitStrategy  # noqa: PLC0415

        # The image starts the server twice: once to initialise, by socket only, then for good. Hence two lines.
        ready = LogMessageWaitStrategy("database system is ready to accept connections", times=2)
        container = DockerContainer(self.image, command=self._command, ports=[PORT], _wait_strategy=ready)
        container.with_env("POSTGRES_HOST_AUTH_METHOD", "trust")
        self._container = container.start()
        self._address = f"{container.get_container_host_ip()}:{container.get_exposed_port(PORT)}"

    def close(self) -> None:
        if self._container:
            self._container.stop()
            self._container = None
