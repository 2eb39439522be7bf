import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

# The settings of a repository that uses the plugin: a run of pytest of its own, apart from this one.
SETTINGS = """
[pytest]
addopts = --import-mode=importlib --disable-plugin-autoload -p testkit.plugin -p xdist.plugin --strict-markers
filterwarnings = error
"""
# Of this run's environment, what a developer may have set and what xdist tells its workers.
OURS = ("TESTKIT_", "TEST_", "REQUIRE", "PYTEST_")


@dataclass(frozen=True)
class Run:
    """The end of a run of pytest: its status, and its output to be matched line by line."""

    status: int
    text: str

    @property
    def lines(self) -> pytest.LineMatcher:
        return pytest.LineMatcher(self.text.splitlines())


Project = Callable[..., Run]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Run pytest in a small repository of somebody else's: `project({path: text}, *options, VARIABLE=value)`."""

    def run(files: dict[str, str], *options: str, **environment: str) -> Run:
        for path, text in {"pytest.ini": SETTINGS, **files}.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "pytest", *options],
            cwd=tmp_path,
            env=inherited | environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Run(done.returncode, done.stdout + done.stderr)

    return run


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of this test's own."""
    monkeypatch.setenv("TESTKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
