"""The gates that a change has to pass, cheapest first; each gate is a part of what `make ci` runs."""

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.drill.scratch import DrillError, Scratch

TESTS_FAILED = 1
SHOWN_LINES, SHOWN_CHARACTERS = 4, 160
QUIET = ("pytest", "-q", "-p", "no:cacheprovider")
PYTEST = (*QUIET, "-x", "--tb=short", "--no-header")
WRITE = (*QUIET, "--write-contracts")


@dataclass(frozen=True)
class Project:
    """A team's part of the tree, and the packages that it is made of."""

    folder: str
    packages: tuple[str, ...]

    @property
    def contracts(self) -> str:
        """Where its contract tests are; a library's contract tests are those of all projects that use it."""
        return "services/*/tests/contract" if self.folder.startswith("libs/") else f"{self.folder}/tests/contract"


@dataclass(frozen=True)
class Stop:
    """The gate that stopped a change, the seconds until then, and what the author reads."""

    gate: str
    seconds: float
    message: tuple[str, ...]


ORDERS = Project("services/orders", ("orders",))
PAYMENTS = Project("services/payments", ("payments",))
NOTIFICATIONS = Project("services/notifications", ("notifications",))
OUTBOXED = Project("libs/outboxed", ("outboxed",))
SANDBOX = Project("sandbox", ("payment_gateway", "mail_catcher", "sandbox_process"))


def stopped(project: Project, scratch: Scratch) -> Stop | None:
    """Make the contracts again, as an author does, then go through the gates. Raises DrillError."""
    scratch.run((*WRITE, *_files(scratch.folder, f"{project.contracts}/*.py")))  # the gates find what this refuses
    started = time.monotonic()
    packages = [part for package in project.packages for part in ("-p", package)]
    for command in (("mypy", *packages), ("mypy", f"{project.folder}/tests")):
        if not _passes(done := scratch.run(command)):
            return Stop("types", time.monotonic() - started, _message(done.stdout))
    levels = _levels(project, scratch.folder)
    # one process for all of them: it takes the files in this order and stops at the first failure
    done = scratch.run((*PYTEST, *(file for files in levels.values() for file in files)))
    if _passes(done):
        return None
    message = _message(done.stdout)
    return Stop(_level_of(message, levels), time.monotonic() - started, message)


def _levels(project: Project, root: Path) -> Mapping[str, Sequence[str]]:
    """The test files of each gate, cheapest first."""
    tests, contracts = f"{project.folder}/tests", project.contracts
    patterns = {
        "unit": (f"{tests}/unit/*.py",),
        "contract consumer": (f"{contracts}/test_consumes_*.py",),
        # this project's pacts reach its providers through the broker, or here as files
        "contract provider": ("services/*/tests/contract/test_provides.py", "sandbox/tests/contract/*.py"),
        "AsyncAPI gate": (f"{contracts}/test_asyncapi.py",),
        "integration": (f"{tests}/parity/*.py", f"{tests}/integration/*.py"),
    }
    return {level: [file for each in globs for file in _files(root, each)] for level, globs in patterns.items()}


def _level_of(message: Sequence[str], levels: Mapping[str, Sequence[str]]) -> str:
    """The gate of the first test that pytest names. Raises DrillError."""
    failed = re.match(r"(?:FAILED|ERROR) ([^:]+)", message[0] if message else "")
    for level, files in levels.items():
        if failed and failed[1] in files:
            return level
    raise DrillError(f"pytest failed without naming a test of a gate: {' '.join(message)}")


def _passes(done: subprocess.CompletedProcess[str]) -> bool:
    if done.returncode not in {0, TESTS_FAILED}:
        raise DrillError(f"{' '.join(map(str, done.args))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def _files(root: Path, pattern: str) -> list[str]:
    """The test files that a glob matches."""
    return sorted(str(path.relative_to(root)) for path in root.glob(pattern) if path.name.startswith("test_"))


def _message(output: str) -> tuple[str, ...]:
    """The first error of mypy, or the first failed test with what pytest says of it."""
    lines = output.splitlines()
    failed = [line.split(" - ")[0] for line in lines if line.startswith(("FAILED ", "ERROR "))][:1]
    said = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ") or ": error: " in line]
    return tuple(_short(line) for line in (*failed, *said[:SHOWN_LINES]) if line)


def _short(line: str) -> str:
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}..."
