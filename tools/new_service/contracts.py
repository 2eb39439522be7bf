"""What is made after a service came or went: lock, environment, contracts, the drawing of who reads whom."""

import subprocess
import sys
from collections.abc import Sequence

from shop_harness.services import ROOT

from tools.uv import program


class CommandFailedError(RuntimeError):
    """A command failed; the message is what it said last."""


def lock() -> None:
    """uv.lock knows the services that there are, and the environment has them."""
    run([program(), "lock", "--quiet"])
    run(["make", ".venv"])


def write_contracts(service: str) -> None:
    """The document and the pacts of a new service."""
    tests = f"services/{service}/tests/contract"
    run([sys.executable, "-m", "pytest", "-q", "-m", "contract", "--write-contracts", "-p", "no:cacheprovider", tests])


def draw() -> None:
    run([sys.executable, "-m", "pact_faststream.diagram", "contracts/README.md"])


def run(command: Sequence[str]) -> None:
    """Raises CommandFailedError."""
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise CommandFailedError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-6000:]}")
