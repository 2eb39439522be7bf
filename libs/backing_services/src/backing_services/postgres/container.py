"""PostgreSQL in a container, for tests on the same server as in production."""

import os
import time
from typing import TYPE_CHECKING

from backing_services.containers import why_no_container
from backing_services.postgres.errors import PostgresError, PostgresStartError
from backing_services.postgres.server import PostgresServer

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

IMAGE = "POSTGRES_IMAGE"
PORT = 5432
FORGETFUL = "postgres -c max_connections=200 -c fsync=off -c full_page_writes=off -c synchronous_commit=off"
DURABLE = "postgres -c max_connections=200"
START_LIMIT = 60.0  # seconds
POLL = 0.05  # seconds
LINES_OF_LOG = 5
IS_READY = ["pg_isready", "--quiet", "--host", "127.0.0.1", "--port", str(PORT), "--username", "postgres"]
"""Over TCP: the image initialises with a server that listens at its socket only, and logs that it is ready, too."""


class ContainerPostgres(PostgresServer):
    """A container of `$POSTGRES_IMAGE`, else postgres:18.

    `start()` raises PostgresError where no such container can run, PostgresStartError where its server ends or isn't
    ready within 60 seconds, else what testcontainers and Docker raise.
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

        container = DockerContainer(self.image, command=self._command, ports=[PORT])
        container.with_env("POSTGRES_HOST_AUTH_METHOD", "trust")
        self._container = container.start()
        _wait_until_ready(container)
        self._address = f"{container.get_container_host_ip()}:{container.get_exposed_port(PORT)}"

    def close(self) -> None:
        if self._container:
            self._container.stop()
            self._container = None


def _wait_until_ready(container: "DockerContainer") -> None:
    """Raise PostgresStartError with the last lines of its log.

    Of testcontainers' own waits, that for a command doesn't see that the container has ended, and that for lines of the
    log waits for one, however many it is told to wait for.
    """
    from docker.errors import APIError  # noqa: PLC0415 - 0.3 s for those who need it

    deadline = time.monotonic() + START_LIMIT
    while True:
        try:
            if container.exec(IS_READY).exit_code == 0:
                return
        except APIError as error:
            container.reload()
            if container.status == "running":
                raise
            raise PostgresStartError(f"the container of {container.image} ended: {_last_lines(container)}") from error
        if time.monotonic() > deadline:
            raise PostgresStartError(
                f"the container of {container.image} is not ready within {START_LIMIT:g} s: {_last_lines(container)}"
            )
        time.sleep(POLL)


def _last_lines(container: "DockerContainer") -> str:
    lines = container.get_wrapped_container().logs(tail=LINES_OF_LOG).decode(errors="replace").splitlines()
    return " | ".join(lines)
