"""Temporary folders that don't outlive their process for long, even if it was killed."""

import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - Linux's tmpfs; our files are in a private folder
ROOM_IN_MEMORY = 512 * 2**20  # bytes; Docker gives a container 64 MB there unless told otherwise
LOCK = "owner.lock"


class TemporaryFolder:
    """A private folder, in memory if `in_memory` is set and there is room; `remove` it, or the process's exit does.

    The owner holds a lock in the folder. A free lock means that the owner was killed; the next process that makes a
    folder removes the old one, so that no memory leaks.
    """

    def __init__(self, prefix: str, *, in_memory: bool) -> None:
        parent = MEMORY if in_memory and _has_room(MEMORY) else Path(tempfile.gettempdir())
        _remove_abandoned(parent, prefix)
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        new = self.path / f"{LOCK}.new"
        lock = os.open(new, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        new.rename(self.path / LOCK)  # by this name it was never free while its owner lived
        self.remove = weakref.finalize(self, _remove, self.path, lock)


def _has_room(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ROOM_IN_MEMORY


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _remove_abandoned(parent: Path, prefix: str) -> None:
    for folder in parent.glob(f"{prefix}*"):
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # another user's folder, or already removed
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # its owner lives
            os.close(lock)
        else:
            _remove(folder, lock)
