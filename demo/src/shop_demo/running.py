"""What a running `make up` tells other commands: a file of variables, which is locked as long as it's true."""

import fcntl
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shop_harness.services import ROOT

VARIABLE = "SHOP_UP_FILE"
USUAL = ROOT / "build" / "up" / "shop.env"
LOGS = "SHOP_UP_LOGS"
"""The variable of the folder with the logs."""
HEAD = "# The system that `make up` runs now. `make run` and `make logs` read this file; it goes when `make up` ends.\n"


class RunningError(RuntimeError):
    """Another `make up` has the file, or none has; the message is one line for a person."""


@dataclass(frozen=True)
class Running:
    """What `make up` wrote; with `is_over` it was killed, and what the variables name is gone."""

    file: Path
    variables: Mapping[str, str] = field(repr=False)
    is_over: bool


def file_of_up() -> Path:
    """Where `make up` writes; a second one beside it needs another place."""
    return Path(os.environ.get(VARIABLE) or USUAL)


class UpFile:
    """The file while this process has its lock."""

    def __init__(self, file: Path, descriptor: int) -> None:
        self.file = file
        self._descriptor = descriptor

    def write(self, variables: Mapping[str, str]) -> None:
        """Tell all of it at once: a reader finds nothing, or everything."""
        lines = (f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
        os.pwrite(self._descriptor, "".join((HEAD, *lines)).encode(), 0)


@contextmanager
def up_file() -> Iterator[UpFile]:
    """Hold the file, for its owner's eyes only, and remove it at the end. Raises RunningError, OSError."""
    file = file_of_up()
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        if not _lock(descriptor, fcntl.LOCK_EX):
            raise RunningError(f"another `make up` runs and has {file}: end it, or set {VARIABLE} to another file")
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)  # what a killed one left
        try:
            yield UpFile(file, descriptor)
        finally:
            file.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def read_running() -> Running | None:
    """What `make up` wrote; None if there is no file. Raises RunningError while it's still starting."""
    file = file_of_up()
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor) as text:
        is_over = _lock(descriptor, fcntl.LOCK_SH)
        words = shlex.split(text.read(), comments=True)
    if not words and not is_over:
        raise RunningError(f"`make up` is still starting ({file} is empty): wait until it prints the addresses")
    return Running(file, dict(word.split("=", 1) for word in words), is_over)


def _lock(descriptor: int, how: int) -> bool:
    """Whether nobody else has the lock; a killed process has none."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
