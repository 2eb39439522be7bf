"""A name for the user who runs initdb, which refuses one without: many containers run as a mere number."""

import ctypes
import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backing_services.postgres.errors import PostgresStartError

NSS_WRAPPER = "libnss_wrapper.so"


@dataclass(frozen=True)
class Named:
    """What goes before a command, and into its environment, so that its user has a name."""

    before: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def with_a_name(folder: Path) -> Named:
    """How a program finds a name for this process's user; nothing where it has one.

    Without, the program runs in a user namespace in which the user is `nobody`, or with nss_wrapper, whose files go
    into `folder`. The program's files belong to the user either way. Raises PostgresStartError where neither works.
    """
    uid = os.geteuid()
    if _has_a_name(uid):
        return Named()
    if namespace := _namespace():
        return Named(before=namespace)
    if _can_be_loaded(NSS_WRAPPER):
        return _nss_wrapper(uid, folder)
    raise PostgresStartError(
        f"initdb refuses the user id {uid}, which has no name on this machine: allow user namespaces, "
        "install libnss-wrapper, add the user to /etc/passwd, or set BACKING_POSTGRES=container"
    )


def _has_a_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _namespace() -> Sequence[str]:
    """util-linux's `unshare`, if it is here and the kernel allows a namespace; many containers don't."""
    program = shutil.which("unshare")
    if program is None:
        return ()
    nobody = pwd.getpwnam("nobody")
    command = (program, "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}")
    allowed = subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0  # noqa: S603 - our own
    return command if allowed else ()


def _can_be_loaded(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _nss_wrapper(uid: int, folder: Path) -> Named:
    users, groups = folder / "passwd", folder / "group"
    users.write_text(f"postgres:x:{uid}:{os.getegid()}::{folder}:/bin/false\n")
    groups.write_text(f"postgres:x:{os.getegid()}:\n")
    loaded = {"LD_PRELOAD": NSS_WRAPPER, "NSS_WRAPPER_PASSWD": str(users), "NSS_WRAPPER_GROUP": str(groups)}
    return Named(environment=loaded)
