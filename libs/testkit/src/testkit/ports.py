"""TCP ports on loopback."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

RANGE = range(20_000, 32_768)
"""Below those that Linux gives to connections: nobody has one of these without having chosen it."""
_claims: list[int] = []
"""Open files whose locks are this process's claims, for as long as it lives."""


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that is free, and that this function gives to nobody else meanwhile.

    "Meanwhile" is as long as this process lives, and "nobody" means no process of this user: tests run side by side,
    and a service may take a second until it listens. Raises OSError when there is none left.
    """
    for port in random.sample(RANGE, len(RANGE)):
        if _claim(port) and is_free(port):
            return port
    raise OSError(f"no free port between {RANGE.start} and {RANGE.stop}")


def _claim(port: int) -> bool:
    folder = Path(tempfile.gettempdir()) / f"testkit-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    claim = os.open(folder / str(port), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(claim)
        return False
    _claims.append(claim)
    return True


def is_free(port: int) -> bool:
    """Say whether nobody listens on this TCP port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger don't count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
