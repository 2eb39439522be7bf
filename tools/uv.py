"""Where uv is, and what a tool starts its commands with."""

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
OF_A_CALLER = (
    *("VIRTUAL_ENV", "PYTHON", "UV_PROJECT"),
    *("PYTEST_", "TEST_", "BACKING_", "REQUIRE", "PACT_"),
    *("MAKE", "MFLAGS", "ARGS", "SERVICE", "AGAINST", "NAME", "TAG", "READS", "PUBLISHES"),
)
"""How variables begin that name an environment or a Pact Broker, choose what tests run on, or are arguments of make."""


def program() -> str:
    """As the Makefile finds it: from the PATH, else the project's own."""
    return shutil.which("uv") or str(ROOT / ".tools" / "uv" / "bin" / "uv")


def own_environment() -> dict[str, str]:
    """The variables for commands in a tree or an environment of their own: those of the caller say nothing there."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OF_A_CALLER)}
