"""pact-python-cli: where its program is, and how it is asked. Bound: `pact-python-cli<1!0.11`.

The wheel is a program without a Python interface. Used, and promised nowhere for programs:

- `bin/pact` beside the interpreter;
- `-o json`, with which it prints the broker's answer, and ends with 0 also where the answer is no;
- `--version` counts for the `--pacticipant` right before it: anywhere else it is dropped, and any version gets
  the yes.
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
