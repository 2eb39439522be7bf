"""The folder that survives between runs, and the one way to put something into it."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path


def cache_folder() -> Path:
    """`$BACKING_CACHE`, else `~/.cache/backing-services`, else a folder of this user's in the temporary one.

    The temporary one is for containers with an empty or unwritable HOME.
    """
    if given := os.environ.get("BACKING_CACHE"):
        return Path(given).expanduser()
    home = os.environ.get("HOME")
    if home and os.access(home, os.W_OK):
        return Path(home) / ".cache" / "backing-services"
    return _private_temporary_folder()


def published(target: Path, build: Callable[[Path], None]) -> Path:
    """Return the folder `target`; if it is missing, `build` fills it first.

    `build` fills an empty folder beside the target, which is then renamed, so nobody sees a half-filled folder. Of
    several processes that build at once, one wins and all use its result.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        build(staging)
        _rename_unless_there(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def fetch_command(fetch: Callable[[], Path], refused: type[Exception]) -> None:
    """Run `fetch` as a program: print the path that it returns, or in one line the error `refused`."""
    try:
        print(fetch())  # noqa: T201 - a command
    except refused as error:
        sys.exit(str(error))


def _rename_unless_there(staging: Path, target: Path) -> None:
    try:
        staging.rename(target)
    except OSError:
        if not target.exists():
            raise


def _private_temporary_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"backing-services-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():  # another user made the folder: its programs must not run
        raise PermissionError(f"{folder} belongs to another user; set BACKING_CACHE to a folder of your own")
    return folder
