"""A copy of the tree with an environment of its own, in which other versions can be installed and tested."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools import uv
from tools.junit import cases_of
from tools.scratch import MEMBERS, ROOT, copied_tree, make_known_to_git
from tools.upgrade_check.bounds import Outcome, bounds_in, versions_in, without_bounds

PYPROJECTS = ("pyproject.toml", *(f"{member}/pyproject.toml" for member in MEMBERS))
CANARIES = ("libs/*/tests/*/test_canaries.py", "tests/unit/test_canaries.py")
OF_BOUNDS = "tests/unit/test_upgrade_check.py::test_every_bound_has_a_canary_and_is_said_where_the_dependency_is_used"
SECONDS = 900
"""The longest that a step may take."""
SHOWN = 400
"""The number of characters shown of uv's output when uv fails."""


class UpgradeCheckError(Exception):
    """Nothing can be judged; the message is one line."""


def files_of_tree(patterns: Iterable[str]) -> Iterator[Path]:
    """In order."""
    return (path for pattern in patterns for path in sorted(ROOT.glob(pattern)))


def bounds_of_tree() -> Mapping[str, str]:
    """All upper bounds."""
    return dict(bound for path in files_of_tree(PYPROJECTS) for bound in bounds_in(path.read_text()))


@dataclass(frozen=True)
class Environment:
    """The copy."""

    folder: Path

    def install(self, names: Iterable[str] | None = None) -> Mapping[str, str]:
        """Install the newest versions of these dependencies, or of all, in spite of their bounds; returns all versions.

        Other dependencies stay at their locked versions as far as possible. Raises UpgradeCheckError.
        """
        chosen = None if names is None else list(names)
        for path in files_of_tree(PYPROJECTS):
            copy = self.folder / path.relative_to(ROOT)
            copy.write_text(without_bounds(path.read_text(), chosen))
        shutil.copy2(ROOT / "uv.lock", self.folder)
        upgraded = ["--upgrade"] if chosen is None else [f"--upgrade-package={name}" for name in chosen]
        self._uv("lock", *upgraded)
        self._uv("sync", "--frozen", "--all-packages")
        return versions_in((self.folder / "uv.lock").read_text())

    def canaries(self) -> Outcome:
        """Run all canaries."""
        return self._pytest(*(str(path.relative_to(ROOT)) for path in files_of_tree(CANARIES)))

    def unit_tests(self) -> Outcome:
        """Run all unit tests but the one that checks the bounds."""
        return self._pytest("-n", "auto", "-m", "unit", f"--deselect={OF_BOUNDS}")

    def _uv(self, *arguments: str) -> None:
        done = self._run([uv.program(), *arguments, "--quiet"])
        if done.returncode:
            said = " ".join(re.findall(r"[\w\"'`(<].*", done.stderr)) or "it said nothing"
            raise UpgradeCheckError(f"`uv {arguments[0]}` failed: {said[:SHOWN]}")

    def _pytest(self, *arguments: str) -> Outcome:
        report = self.folder / "report.xml"
        report.unlink(missing_ok=True)
        python = self.folder / ".venv" / "bin" / "python"
        done = self._run(
            [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *arguments]
        )
        if not report.exists():
            said = (done.stderr or done.stdout).strip().splitlines()
            raise UpgradeCheckError(f"pytest could not run: {said[-1] if said else 'it said nothing'}")
        cases = cases_of(report)
        return Outcome(
            passed=tuple(case.name for case in cases if not case.failures),
            failed=tuple(case.name for case in cases if case.failures),
        )

    def _run(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        try:
            return subprocess.run(  # noqa: S603
                command,
                cwd=self.folder,
                env=uv.own_environment(),
                check=False,
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UpgradeCheckError(f"{Path(command[0]).name} did not end well: {error}") from None


@contextmanager
def scratch_environment() -> Iterator[Environment]:
    """A copy of the tree with its own environment; the tree, its lock and its environment stay unchanged."""
    with copied_tree("upgrade-check-") as folder:
        make_known_to_git(folder)
        yield Environment(folder)
