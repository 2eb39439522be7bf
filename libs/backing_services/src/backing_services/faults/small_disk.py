"""A small disk in memory that a test can fill; only this process and its children see the disk."""

import ctypes
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from backing_services.faults.unavailable import FaultError

CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
BLOCK = 2**20


class SmallDisk:
    """A context manager with a folder `path` of so many bytes.

    Only this process and its children see the disk, in a mount namespace of their own, which needs root. The disk is
    gone when the last of them ends, even by SIGKILL. Enter it before starting threads or processes. Raises FaultError.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.path = Path(tempfile.mkdtemp(prefix="backing-disk-"))

    def fill(self) -> None:
        """Take all the room that is left: whoever writes now gets ENOSPC."""
        block = bytes(BLOCK)
        with self._ballast.open("ab", buffering=0) as ballast, suppress(OSError):
            while True:  # a write takes the room that there is, and fails only where there is none
                ballast.write(block)

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        if sys.platform != "linux" or os.geteuid() != 0:
            self.path.rmdir()
            raise FaultError("a full disk needs Linux and root, to mount a small one")
        libc = ctypes.CDLL(None, use_errno=True)
        _checked(libc.unshare(CLONE_NEWNS))
        _checked(libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None))
        options = f"size={self.size},mode=755".encode()
        _checked(libc.mount(b"tmpfs", bytes(self.path), b"tmpfs", ctypes.c_ulong(0), options))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _checked(ctypes.CDLL(None, use_errno=True).umount2(bytes(self.path), 2))
        self.path.rmdir()

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"


def _checked(status: int) -> None:
    if status:
        raise FaultError(f"can't mount a small disk: {os.strerror(ctypes.get_errno())}")
