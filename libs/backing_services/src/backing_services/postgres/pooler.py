"""PgBouncer before a PostgreSQL of the tests: a process of our own on loopback."""

import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from backing_services.postgres.errors import PgBouncerNotInstalledError, PostgresStartError
from backing_services.postgres.installation import server_account
from backing_services.postgres.server import PostgresServer
from backing_services.postgres.startable import Startable
from backing_services.processes import free_port
from backing_services.processes.parent_death import bound_to_this_process
from backing_services.processes.temporary import TemporaryFolder

LOOPBACK = "127.0.0.1"
SYSTEM_PROGRAMS = "/usr/sbin"
"""Debian's place for it, which is on root's PATH only."""
START_LIMIT = 30.0  # seconds
STOP_LIMIT = 5.0  # seconds
POLL = 0.005  # seconds
LISTEN_BACKLOG = "1024"
TRANSACTION_MODE: Mapping[str, str] = {"pool_mode": "transaction"}


def pgbouncer() -> str:
    """The program. Raises PgBouncerNotInstalledError."""
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path=SYSTEM_PROGRAMS)
    if found is None:
        raise PgBouncerNotInstalledError("no PgBouncer here: `apt-get install pgbouncer`")
    return found


class PgBouncer(Startable):
    """A pooler before `server`, as a context manager or by `start()` and `stop()`; it dies with this process.

    It is in transaction mode. Everything else is PgBouncer's default, unless `settings` says otherwise, by PgBouncer's
    own names: `default_pool_size`, `ignore_startup_parameters`, `query_wait_timeout` and others. The port is free and
    stays the same. Clients need no password.

    `start()` raises PgBouncerNotInstalledError or PostgresStartError.
    """

    def __init__(self, server: PostgresServer, settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self._server = server
        self._settings = {**TRANSACTION_MODE, **(settings or {})}
        self._folder: TemporaryFolder | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """SQLAlchemy's url of a database of the server, through the pooler."""
        return f"postgresql+asyncpg://pooled@{LOOPBACK}:{self.port}/{quote(database)}"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        if self._process is not None:
            raise PostgresStartError("this PgBouncer is running already")
        program = pgbouncer()
        if self._folder is None:
            self._folder = TemporaryFolder("backing-pgbouncer-", in_memory=True)
        configuration, log = self._folder.path / "pgbouncer.ini", self._folder.path / "pgbouncer.log"
        configuration.write_text(self._configuration())
        account = server_account()  # PgBouncer refuses root, as PostgreSQL does
        self._folder.path.chmod(0o755)
        configuration.chmod(0o644)
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                bound_to_this_process([program, str(configuration)], run_as=account),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=self._folder.path,
            )
        self._wait_until_ready(log)

    def stop(self) -> None:
        """End it at once: every connection through it is cut, as in a crash. `start()` brings it back on its port."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()  # since 1.23 it waits for its clients on SIGTERM
        process.wait(STOP_LIMIT)

    def close(self) -> None:
        """Stop it and remove its files."""
        self.stop()
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def _configuration(self) -> str:
        settings = {
            "listen_addr": LOOPBACK,
            "listen_port": str(self.port),
            "listen_backlog": LISTEN_BACKLOG,
            "unix_socket_dir": "",
            "auth_type": "any",
            **self._settings,
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        return "\n".join(["[databases]", f"* = {_target(self._server.url('any'))}", "[pgbouncer]", *lines, ""])

    def _wait_until_ready(self, log: Path) -> None:
        deadline = time.monotonic() + START_LIMIT
        while not self._accepts():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                said = log.read_text(errors="replace").splitlines()[-5:]
                raise PostgresStartError(f"PgBouncer did not start: {' | '.join(said)}")
            time.sleep(POLL)

    def _accepts(self) -> bool:
        with suppress(OSError), socket.create_connection((LOOPBACK, self.port), timeout=1.0):
            return True
        return False


def _target(url: str) -> str:
    """The server of a url as PgBouncer's connection string; the database is the one that the client names."""
    parts = urlsplit(url)
    socket_folder = parse_qs(parts.query).get("host", [""])[0]
    known = {
        "host": parts.hostname or socket_folder,
        "port": parts.port or 5432,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    }
    return " ".join(f"{name}={_quoted(str(value))}" for name, value in known.items() if value)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
