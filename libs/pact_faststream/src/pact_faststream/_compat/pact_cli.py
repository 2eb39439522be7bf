"""pact-python-cli: its program's path and output. Bound: `pact-python-cli<1!0.11`.

The wheel is a program without a Python interface. Used, without a promise to programs:

- `bin/pact` beside the interpreter;
- `-o json` prints the broker's answer; the exit status is then 0 even if the answer is no;
- `--version` counts only right after its `--pacticipant`: elsewhere it is dropped, and the answer is for any version.
"""

import shutil
import sys
from pathlib import Path

AS_JSON = ("-o", "json")


def program() -> str | None:
    """The path of `pact`; None where it isn't installed."""
    beside = Path(sys.executable).with_name("pact")
    return str(beside) if beside.exists() else shutil.which("pact")


def version_of(service: str, version: str) -> tuple[str, ...]:
    """The options that name one version of one service."""
    return "--pacticipant", service, "--version", version
