"""TCP ports on loopback."""

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path
from threading import Lock

RANGE = range(20_000, 32_768)
"""Below the ports that Linux gives to connections, so only a process that chose one of these ports has it."""
_given: set[int] = set()
_giving = Lock()


def free_port() -> int:
    """Return a free TCP port on 127.0.0.1, which no other call returns while this process lives.

    That holds for all processes of this user: tests run side by side, and a service may take a second until it listens.
    Raises OSError when no port is left.
    """
    with _giving:
        for port in random.sample(RANGE, len(RANGE)):
            if port not in _given and _claim(port):
                if is_free(port):
                    _given.add(port)
                    return port
                fcntl.lockf(_claims(), fcntl.LOCK_UN, 1, port)
    raise OSError(f"no free port between {RANGE.start} and {RANGE.stop}")


def _claim(port: int) -> bool:
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _claims() -> int:
    """An empty file in which a process locks one byte for each of its ports; the process's end unlocks them."""
    path = Path(tempfile.gettempdir()) / f"backing-ports-{os.getuid()}.lock"
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def is_free(port: int) -> bool:
    """Say whether nobody listens on this TCP port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger don't count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
