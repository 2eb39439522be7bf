"""Where uv is, and what a tool starts its commands with."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
MADE_WITHIN = 300.0
"""Seconds for an environment: it may be downloaded."""
OF_A_CALLER = (
    *("VIRTUAL_ENV", "PYTHON", "UV_PROJECT"),
    *("PYTEST_", "TEST_", "BACKING_", "REQUIRE", "PACT_"),
    *("MAKE", "MFLAGS", "ARGS", "SERVICE", "AGAINST", "NAME", "TAG", "READS", "PUBLISHES"),
)
"""How variables begin that name an environment or a Pact Broker, choose what tests run on, or are arguments of make."""


def program() -> str:
    """As the Makefile finds it: from the PATH, else the project's own."""
    return shutil.which("uv") or str(ROOT / ".tools" / "uv" / "bin" / "uv")


def python_with(*packages: str) -> Sequence[str]:
    """The beginning of a command for Python in this project's environment and some packages beside it."""
    beside = ",".join(packages)
    return (program(), "run", "--frozen", "--all-packages", "--no-sync", "--quiet", "--with", beside, "python")


def can_run(python: Sequence[str]) -> bool:
    """Whether there is such an environment, or one can be made within MADE_WITHIN."""
    try:
        made = subprocess.run(  # noqa: S603
            [*python, "-c", ""], check=False, capture_output=True, cwd=ROOT, timeout=MADE_WITHIN
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return made.returncode == 0


def own_environment() -> dict[str, str]:
    """The variables for commands in a tree or an environment of their own: those of the caller say nothing there."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OF_A_CALLER)}
