"""A project where folders, locale, time zone or rights are others than ours; each of them held when it was tried."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import OURS, SETTINGS

LENGTH = 132
TESTS = """
import asyncio
from backing_services.postgres import connected

async def greeting(url):
    async with connected(url) as connection:
        return await connection.fetchval("select 'Grüße' || $1::text", " an Zoë")

def test_it(postgres_server):
    assert asyncio.run(greeting(postgres_server.url("postgres"))) == "Grüße an Zoë"
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Anybody may look into it, as into a checkout."""
    with tempfile.TemporaryDirectory(prefix="surroundings-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def run(folder: Path, environment: dict[str, str], umask: int = -1) -> str:
    (folder / "tests" / "integration").mkdir(parents=True)
    (folder / "pytest.ini").write_text(SETTINGS)
    (folder / "tests" / "integration" / "test_it.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=60, umask=umask
    )
    return done.stdout + done.stderr


def inherited(**changes: str | None) -> dict[str, str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | changes
    return {name: value for name, value in variables.items() if value is not None}


def test_a_path_of_132_characters_with_spaces(folder: Path) -> None:
    far = folder / "a folder with spaces" / "of somebody"
    far /= "x" * (LENGTH - len(str(far)) - 1)

    assert len(str(far)) == LENGTH
    assert "1 passed" in run(far, inherited())


@pytest.mark.parametrize(
    "changes",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"TZ": "Pacific/Chatham"},
        {"TZ": ":/no/such/zone"},
        {"HOME": None},
        {"HOME": "/no/such/home"},
    ],
    ids=str,
)
def test_another_environment(folder: Path, changes: dict[str, str | None]) -> None:
    assert "1 passed" in run(folder, inherited(**changes))


def test_files_that_nobody_else_may_read(folder: Path) -> None:
    assert "1 passed" in run(folder, inherited(BACKING_CACHE=str(folder / "cache")), umask=0o077)
