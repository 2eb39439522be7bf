"""Which Pythons are here: those that uv, the PATH and pyenv have, else those that uv can fetch."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools import uv

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
"""From the `requires-python` of every project to the newest that was tried. CI has a job for the first and the last."""
FETCH_SECONDS = 120
_SAID = re.compile(r"^\s*(?:cause: )?(.+?)\s*$", re.MULTILINE)


class MissingPythonError(Exception):
    """There is no such Python, and uv can't fetch it; the message is one line, of uv's words."""


def interpreter(version: str, **environment: str) -> Path:
    """The program of a Python; `version` is such as 3.13. Raises MissingPythonError."""
    variables = {**os.environ, "PATH": _path_with_pyenv(), **environment}
    find = ("find", "--no-project", "--system")
    try:
        return Path(_asked(variables, *find, "--no-python-downloads", version))
    except MissingPythonError:
        _asked(variables, "install", "--no-bin", version)
        return Path(_asked(variables, *find, version))


def available(versions: Sequence[str], command: str) -> Mapping[str, Path]:
    """The programs of those that can be had, by version; each other one is named in a line of the command's."""
    programs: dict[str, Path] = {}
    for version in versions:
        try:
            programs[version] = interpreter(version)
        except MissingPythonError as error:
            print(f"{command}: {version} can't be had here: {error}", flush=True)
    return programs


def _path_with_pyenv() -> str:
    """Every Python of pyenv behind the rest: what pyenv itself has on the PATH starts only the one that is chosen."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = map(str, sorted(root.glob("versions/*/bin")))
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *folders])


def _asked(variables: Mapping[str, str], *arguments: str) -> str:
    command = [uv.program(), "python", *arguments]
    try:
        done = subprocess.run(  # noqa: S603
            command, env=variables, check=False, capture_output=True, text=True, timeout=FETCH_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise MissingPythonError(f"uv has not fetched it within {FETCH_SECONDS} s") from None
    if done.returncode:
        said = _SAID.findall(done.stderr.rpartition("error: ")[2]) or ["uv did not say why"]  # before it are warnings
        raise MissingPythonError(": ".join(dict.fromkeys([said[0], said[-1]])))
    return done.stdout.strip()
