"""A copy of the tree as mutmut wants it: all packages below one `src`, and its settings."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shop_harness.services import SERVICES

from tools.mutation import killers
from tools.mutation.mutmut import NO_MUTANT, judged
from tools.scratch import copied_tree

MUTATED = (
    "outboxed/web/_authentication.py",
    "outboxed/_backoff.py",
    "outboxed/storage/_clock.py",
    "outboxed/consuming/_batch.py",
    "outboxed/messages/_envelope.py",
    "outboxed/messages/_ids.py",
    "outboxed/messages/_events.py",
    "outboxed/web/_health.py",
    "outboxed/messages/_reasons.py",
    "outboxed/_wakeups.py",
    "outboxed/tasks/_worker.py",
    *(f"{service}/{module}.py" for service in SERVICES for module in ("domain", "handlers")),
    "orders/pricing.py",
    "payments/reconciliation.py",
)
"""Domain, pricing and handlers of each service, and the modules of outboxed without database, Kafka and HTTP."""
NOT_MUTATED = (
    r"^\s*log\.",  # tests assert a log line only where an operator relies on it
    r"^\s*(form = re\.compile|if isinstance\(value, Decimal|raise ValueError\(f.must be a|return BeforeValidator)",
    # in _events.py: runs when a model is defined, before mutmut chooses a mutant
)
"""Regular expressions of lines that are not mutated."""
UNIT_TESTS = (
    "libs/outboxed/tests/unit",
    *(f"services/{name}/tests/unit" for name in SERVICES),
)
SOURCES = ("libs/*/src/*", "services/*/src/*", "sandbox/src/*")
COPIED = ("conftest.py", "contracts", "harness", "libs", "sandbox", "services", "tests", "tools")


class MutmutError(Exception):
    """mutmut did not judge; the message is the end of mutmut's output."""


@dataclass(frozen=True)
class Mutant:
    """A change of the code: `module` as in MUTATED; `before` and `after` are the lines, without indentation."""

    name: str
    module: str
    killed: bool
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Workspace:
    """The copy."""

    folder: Path

    def judge(self, only: Sequence[str] = ()) -> list[Mutant]:
        """Run the unit tests with each mutant, or with those whose names match; survivors have their lines.

        Raises MutmutError.
        """
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(os.cpu_count() or 1), *only]
        env = os.environ | {killers.WRITTEN_TO: str(self.folder / "killers")}
        done = subprocess.run(command, cwd=self.folder, env=env, check=False, capture_output=True, text=True)  # noqa: S603
        if only and NO_MUTANT in done.stderr:
            return []  # of decorated functions, and of those that only return a name, it makes none
        if done.returncode:
            said = (done.stdout + done.stderr).rpartition("\r")[2]
            raise MutmutError(said[-2000:])
        return [self._with_lines(mutant) for mutant in self._mutants()]

    def killers(self) -> Mapping[str, frozenset[str]]:
        """By mutant, the tests that saw it."""
        return killers.read(self.folder / "killers")

    def _mutants(self) -> Iterator[Mutant]:
        for module in MUTATED:
            for name, killed in judged(self.folder, f"src/{module}"):
                yield Mutant(name, module, killed)

    def _with_lines(self, mutant: Mutant) -> Mutant:
        if mutant.killed:
            return mutant
        command = [sys.executable, "-m", "mutmut", "show", mutant.name]
        diff = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout  # noqa: S603
        changed = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
        before, after = (" ".join(line[1:].strip() for line in changed if line.startswith(sign)) for sign in "-+")
        return Mutant(mutant.name, mutant.module, killed=False, before=before, after=after)


@contextmanager
def workspace(modules: Sequence[str], *, killers_too: bool = False) -> Iterator[Workspace]:
    """Copy the tree, and let mutmut change these modules. With `killers_too` no run ends with the first failure."""
    with copied_tree("mutation-") as folder:
        (folder / "src").mkdir()
        for package in sorted(path for pattern in SOURCES for path in folder.glob(pattern)):
            package.rename(folder / "src" / package.name)
        with (folder / "pyproject.toml").open("a") as settings:
            settings.write(_settings(modules, killers.OPTIONS if killers_too else ()))
        yield Workspace(folder)


def _settings(modules: Sequence[str], options: Sequence[str]) -> str:
    settings = {
        "source_paths": ["src"],
        "only_mutate": [f"src/{module}" for module in modules],
        "do_not_mutate_patterns": NOT_MUTATED,
        "also_copy": COPIED,
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-m", "unit", *options],
        "pytest_add_cli_args_test_selection": UNIT_TESTS,
    }
    return "\n[tool.mutmut]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
