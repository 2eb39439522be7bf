"""The libraries as they would come from an index: built once, installed in an environment of its own."""

import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import uv

RESOLUTIONS = {"newest": "highest", "lowest": "lowest-direct"}


@dataclass(frozen=True)
class Library:
    """A folder of libs."""

    folder: Path

    @property
    def project(self) -> Mapping[str, Any]:
        project: Mapping[str, Any] = tomllib.loads((self.folder / "pyproject.toml").read_text())["project"]
        return project

    @property
    def package(self) -> str:
        return self.folder.name

    @property
    def distribution(self) -> str:
        return str(self.project["name"])

    @property
    def extras(self) -> Sequence[str]:
        """Those for whoever uses it; none is for the tests of this repository."""
        return list(self.project.get("optional-dependencies", {}))

    @property
    def requirements(self) -> Sequence[str]:
        """What it asks for, with all extras."""
        extras = self.project.get("optional-dependencies", {}).values()
        return [*self.project["dependencies"], *(text for texts in extras for text in texts)]


def libraries() -> Sequence[Library]:
    return [Library(path.parent) for path in sorted(uv.ROOT.glob("libs/*/pyproject.toml"))]


class StepError(Exception):
    """A command failed; the message has what it said and, last, which it was."""


def run(command: Sequence[Path | str], folder: Path = uv.ROOT) -> str:
    """Its output. Raises StepError."""
    done = subprocess.run(  # noqa: S603 - ours
        command, cwd=folder, env=uv.own_environment(), check=False, capture_output=True, text=True
    )
    if done.returncode:
        shown = " ".join(map(str, command))
        raise StepError(f"{done.stdout}{done.stderr}\n{shown} ended with {done.returncode}")
    return done.stdout


def build(folder: Path, *kinds: str) -> None:
    """Build each library; `kinds` are `--wheel` and `--sdist`."""
    for library in libraries():
        run([uv.program(), "build", "--quiet", *kinds, "--out-dir", folder, library.folder])


@dataclass(frozen=True)
class Environment:
    """A virtual environment in a folder."""

    folder: Path

    @classmethod
    def made(cls, folder: Path, python: Path | str = sys.executable) -> "Environment":
        run([uv.program(), "venv", "--quiet", "--python", python, folder])
        return cls(folder)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self, *requirements: Path | str, wheels: Path, resolution: str = "highest") -> None:
        """From the built libraries, and what they need from the index."""
        uv_pip: Sequence[Path | str] = [uv.program(), "pip", "install", "--quiet", "--python", self.python]
        run([*uv_pip, "--find-links", wheels, "--resolution", resolution, *requirements])

    def size(self) -> str:
        """How many packages it has, and how large they are."""
        [site] = self.folder.glob("lib/python*/site-packages")
        size = sum(path.lstat().st_size for path in site.rglob("*") if path.is_file() and path.suffix != ".pyc")
        return f"{len(list(site.glob('*.dist-info')))} packages, {size / 1e6:.0f} MB"
