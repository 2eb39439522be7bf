"""`python -m tools.floors`: the libraries' unit tests on the lowest version of each dependency that they declare.

The tools that run the tests have their locked versions. What the dependencies need themselves is the newest, as it is
for whoever installs today.
"""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import uv
from tools.packaged import Environment, StepError, libraries, run
from tools.pythons.interpreters import MissingPythonError, interpreter
from tools.upgrade_check.bounds import versions_in

ENVIRONMENTS = uv.ROOT / ".tools" / "floors"
TEST_TOOLS = ("pytest", "pytest-asyncio", "hypothesis")
"""They run the tests, and so have the versions of this repository; make examples has the lowest of them, too."""
TESTS = ("-q", "-n", "2", "--dist", "worksteal", "-p", "no:cacheprovider")


def main(
    python: Annotated[str, typer.Option(help="Such as 3.13.")] = "3.11",
    level: Annotated[str, typer.Option(help="unit, or unit or integration")] = "unit",
) -> None:
    """Exit with 1 where a test fails, or where the versions don't go together."""
    try:
        environment = Environment.made(_empty(ENVIRONMENTS / python), interpreter(python))
        _install(environment)
    except (MissingPythonError, StepError) as error:
        print(f"{error}\nfloors: nothing was tested on Python {python}", file=sys.stderr)
        sys.exit(2 if isinstance(error, MissingPythonError) else 1)
    folders = [str((library.folder / "tests").relative_to(uv.ROOT)) for library in libraries()]
    command = [str(environment.python), "-m", "pytest", *TESTS, "-m", level, *folders]
    status = subprocess.run(command, cwd=uv.ROOT, env=uv.own_environment(), check=False).returncode  # noqa: S603
    print(f"floors: Python {python}, {level} tests {'failed' if status else 'passed'} on the lowest versions")
    sys.exit(bool(status))


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _install(environment: Environment) -> None:
    lowest, tools = _declared(), dict(_tools())
    wanted = [str(each) for each in lowest.values()]
    pinned = [text for name, text in tools.items() if name not in lowest or name in TEST_TOOLS]
    uv_pip: list[Path | str] = [uv.program(), "pip", "install", "--quiet", "--python", environment.python]
    run([*uv_pip, "--resolution", "lowest-direct", *wanted, *pinned])
    run([*uv_pip, "--no-deps", *(part for library in libraries() for part in ("--editable", library.folder))])


def _declared() -> Mapping[str, Requirement]:
    """What the libraries ask for, with all extras; of two floors of a dependency both must hold."""
    found: dict[str, Requirement] = {}
    own = {canonicalize_name(library.distribution) for library in libraries()}
    for text in (text for library in libraries() for text in library.requirements):
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if name in own:
            continue
        if name in found:
            requirement.specifier &= found[name].specifier
            requirement.extras |= found[name].extras
        found[name] = requirement
    return found


def _tools() -> Iterator[tuple[str, str]]:
    """The tools for tests, at their locked versions."""
    locked: Mapping[str, str] = versions_in((uv.ROOT / "uv.lock").read_text())
    for text in tomllib.loads((uv.ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        is_of_types = name.startswith("types-") or name.endswith("-stubs")  # stubs ask for a version of what they're of
        if not is_of_types and not any(canonicalize_name(library.distribution) == name for library in libraries()):
            yield name, f"{name}{''.join(f'[{each}]' for each in sorted(requirement.extras))}=={locked[name]}"


if __name__ == "__main__":
    typer.run(main)
