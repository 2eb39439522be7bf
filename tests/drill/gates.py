"""What a change has to pass on its way out, cheapest first; each gate is what `make ci` runs, a part at a time."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.drill.scratch import Scratch

TESTS_FAILED = 1
SHOWN_LINES, SHOWN_CHARACTERS = 4, 160
PYTEST = ("pytest", "-q", "-x", "--tb=short", "--no-header", "-p", "no:cacheprovider")
WRITE = (*PYTEST[:2], "--write-contracts", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Project:
    """A team's part of the tree, and the packages that it is made of."""

    folder: str
    packages: tuple[str, ...]

    @property
    def contracts(self) -> str:
        """Where its contract tests are: a library's are those of everybody who stands on it."""
        return "services/*/tests/contract" if self.folder.startswith("libs/") else f"{self.folder}/tests/contract"


@dataclass(frozen=True)
class Gate:
    """Commands of which each must succeed."""

    name: str
    commands: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Stop:
    """Where a change was stopped, after how many seconds in all, and what its author reads."""

    gate: str
    seconds: float
    message: tuple[str, ...]


class GateError(Exception):
    """A gate that didn't judge: it could not run."""


ORDERS = Project("services/orders", ("orders",))
PAYMENTS = Project("services/payments", ("payments",))
NOTIFICATIONS = Project("services/notifications", ("notifications",))
CHASSIS = Project("libs/chassis", ("chassis",))
SANDBOX = Project("sandbox", ("payment_gateway", "mail_catcher", "sandbox_process"))


def gates(project: Project, root: Path) -> list[Gate]:
    """The gates of a project, in order."""
    tests = f"{project.folder}/tests"
    packages = [part for package in project.packages for part in ("-p", package)]
    contracts = project.contracts
    return [
        Gate("types", [("mypy", *packages), ("mypy", tests)]),
        Gate("unit", [(*PYTEST, f"{tests}/unit")]),
        _pytest("contract consumer", root, f"{contracts}/test_consumes_*.py"),
        # the pacts that this project made reach its providers through the broker, or as here as files
        _pytest("contract provider", root, "services/*/tests/contract/test_provides.py", "sandbox/tests/contract/*.py"),
        _pytest("AsyncAPI gate", root, f"{contracts}/test_asyncapi.py"),
        _pytest("integration", root, f"{tests}/parity/*.py", f"{tests}/integration/*.py"),
    ]


def stopped(project: Project, scratch: Scratch) -> Stop | None:
    """Make the contracts again, as an author does, then go through the gates. Raises GateError."""
    _run((*WRITE, *_files(scratch.folder, f"{project.contracts}/*.py")), scratch)  # what it refuses, the gates find
    started = time.monotonic()
    for gate in gates(project, scratch.folder):
        for command in gate.commands:
            done = _run(command, scratch)
            if done.returncode == TESTS_FAILED:
                return Stop(gate.name, time.monotonic() - started, _message(done.stdout))
            if done.returncode:
                raise GateError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return None


def _pytest(name: str, root: Path, *patterns: str) -> Gate:
    files = [file for pattern in patterns for file in _files(root, pattern)]
    return Gate(name, [(*PYTEST, *files)] if files else [])


def _files(root: Path, pattern: str) -> list[str]:
    """The test files that a glob matches."""
    return sorted(str(path.relative_to(root)) for path in root.glob(pattern) if path.name.startswith("test_"))


def _run(command: Sequence[str], scratch: Scratch) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", *command],
        cwd=scratch.folder,
        env=scratch.environment,
        check=False,
        capture_output=True,
        text=True,
    )


def _message(output: str) -> tuple[str, ...]:
    """The first error of mypy, or the first failed test with what pytest says of it."""
    lines = output.splitlines()
    failed = [line.split(" - ")[0] for line in lines if line.startswith(("FAILED ", "ERROR "))][:1]
    said = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ") or ": error: " in line]
    return tuple(_short(line) for line in (*failed, *said[:SHOWN_LINES]) if line)


def _short(line: str) -> str:
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}..."
