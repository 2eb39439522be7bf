import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .warm_pytest import Run, WarmPytest

# The settings of a repository that uses the plugin: a run of pytest of its own, apart from this one.
SETTINGS = """
[pytest]
addopts = --import-mode=importlib --disable-plugin-autoload -p backing_services.plugin -p xdist.plugin --strict-markers
filterwarnings = error
"""
ASYNCIO = """
[pytest]
addopts = --import-mode=importlib --disable-plugin-autoload -p pytest_asyncio.plugin -p backing_services.plugin
filterwarnings = error
asyncio_mode = auto
asyncio_default_fixture_loop_scope = session
asyncio_default_test_loop_scope = session
"""
# Of this run's environment, what a developer may have set and what xdist tells its workers.
OURS = ("BACKING_", "TEST_", "REQUIRE", "PYTEST_")


Project = Callable[..., Run]


@pytest.fixture(scope="session")
def warm_pytest() -> Iterator[WarmPytest]:
    with WarmPytest() as warm:
        yield warm


@pytest.fixture
def project(tmp_path: Path, warm_pytest: WarmPytest) -> Project:
    """Run pytest in a small repository of somebody else's: `project({path: text}, *options, VARIABLE=value)`.

    With `folder=`, in one of its folders.
    """

    def run(files: dict[str, str], *options: str, folder: str = ".", **environment: str) -> Run:
        for path, text in {"pytest.ini": SETTINGS, **files}.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        return warm_pytest.run(tmp_path / folder, options, inherited | environment)

    return run


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of this test's own."""
    monkeypatch.setenv("BACKING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def first_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Makes a script the first program of its name: `first_on_path("mvn", "#!/bin/sh\\nexit 1")`."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def write(name: str, script: str) -> Path:
        program = tmp_path / name
        program.write_text(script)
        program.chmod(0o755)
        return program

    return write
