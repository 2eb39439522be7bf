"""`python -m tools.pythons`: the unit and contract tests on each Python that is supported.

Each Python has an environment of its own below `.tools/pythons`, with the locked versions of all dependencies.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tools import uv
from tools.pythons.interpreters import SUPPORTED, available

LEVELS = "unit or contract"
TESTS = ("-q", "-n", "auto", "--dist", "worksteal", "-p", "no:cacheprovider", "-m", LEVELS)
ENVIRONMENTS = uv.ROOT / ".tools" / "pythons"
OF_ANOTHER = ("VIRTUAL_ENV", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT")
"""Variables that name an environment."""


def main(
    python: Annotated[list[str] | None, typer.Option(help="Such as 3.13; several are possible.")] = None,
) -> None:
    """Exit with 1 where tests fail on a Python.

    One that isn't here, and that uv can't fetch, is named; with REQUIRE=pythons it's an error, with status 2.
    """
    chosen = python or SUPPORTED
    if unknown := [version for version in chosen if version not in SUPPORTED]:
        _end(f"{unknown[0]} is none of {', '.join(SUPPORTED)}")
    programs = available(chosen, "pythons")
    missing = [version for version in chosen if version not in programs]
    failed = []
    for version, program in programs.items():
        print(f"pythons: {version} is {program}", flush=True)
        if not _passes(version, program):
            failed.append(version)
    print(f"pythons: {_told(chosen, failed, missing)}")
    if failed:
        sys.exit(1)
    required = os.environ.get("REQUIRE", "")
    if missing and "pythons" in required.replace(",", " ").split():
        _end(f"REQUIRE={required}, but not every Python was tried")


def _passes(version: str, program: Path) -> bool:
    environment = ENVIRONMENTS / version
    variables = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER}
    variables["UV_PROJECT_ENVIRONMENT"] = str(environment)
    sync = ["sync", "--frozen", "--all-packages", "--quiet", "--python", str(program)]
    for command in ([uv.program(), *sync], [str(environment / "bin" / "python"), "-m", "pytest", *TESTS]):
        if subprocess.run(command, cwd=uv.ROOT, env=variables, check=False).returncode:  # noqa: S603
            return False
    return True


def _told(chosen: Sequence[str], failed: Sequence[str], missing: Sequence[str]) -> str:
    def each(version: str) -> str:
        return "failed" if version in failed else "not tried" if version in missing else "passed"

    return ", ".join(f"{version} {each(version)}" for version in chosen)


def _end(why: str) -> None:
    print(f"pythons: {why}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    typer.run(main)
