"""`python -m tools.release_check`: could each library be released as it is?

Builds a source distribution, and the wheel from that; checks the metadata with twine; installs each library with all
its extras on each Python, and imports it; runs the examples there, on the newest and the lowest versions; and checks
the types of what the examples wrote, with mypy and pyright.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tools import examples
from tools.packaged import Environment, Library, StepError, build, libraries, run
from tools.pythons.interpreters import SUPPORTED, available
from tools.release_check.documents import problems_of

TYPES = ("--strict", "--no-error-summary", "--config-file=", "--python-version", SUPPORTED[0])
STUBS = {"django_tests": ["django-stubs"]}


def main(python: Annotated[list[str] | None, typer.Option(help="Such as 3.13; several are possible.")] = None) -> None:
    """Exit with 1 where something keeps a library from being released; a Python that can't be had is named."""
    chosen = python or SUPPORTED
    programs = available(chosen, "release-check")
    if problems := [problem for library in libraries() for problem in problems_of(library)]:
        _end("\n".join(problems))
    try:
        with tempfile.TemporaryDirectory(prefix="release-check-") as folder:
            Path(folder).chmod(0o755)  # as root the embedded PostgreSQL runs as nobody, who needs access
            _check(programs, Path(folder))
    except StepError as error:
        _end(str(error))
    tried = ", ".join(f"{version} {'passed' if version in programs else 'not tried'}" for version in chosen)
    print(f"release-check: {len(libraries())} libraries, Python {tried}")
    sys.exit(not programs)


def _check(programs: Mapping[str, Path], folder: Path) -> None:
    built = folder / "built"
    build(built)
    _say(f"{len(list(built.glob('*.tar.gz')))} source distributions and {len(list(built.glob('*.whl')))} wheels")
    run([sys.executable, "-m", "twine", "check", "--strict", *sorted(built.glob("*.*z")), *sorted(built.glob("*.whl"))])
    _say("their metadata passes twine")
    for version, program in programs.items():
        for library in libraries():
            _install(library, Environment.made(folder / f"{library.package}-{version}", program), built)
        _say(f"each library with all extras installs on Python {version}")
    most = examples.try_all(programs, built, folder)
    if most > examples.MOST_LINES:
        raise StepError(f"an example changes {most} lines, the limit is {examples.MOST_LINES}")
    for name in examples.names():
        _check_types(name, folder, built)
    _say("mypy --strict and pyright pass on what the examples wrote")


def _install(library: Library, environment: Environment, built: Path) -> None:
    environment.install(f"{library.distribution}[{','.join(library.extras)}]", wheels=built)
    typed = f"import {library.package} as it, pathlib; assert (pathlib.Path(it.__file__).parent / 'py.typed').exists()"
    run([environment.python, "-c", typed], environment.folder)


def _check_types(name: str, folder: Path, built: Path) -> None:
    code = examples.EXAMPLES / name / "after"
    environment = Environment.made(folder / f"{name}-types")
    requirements = examples.EXAMPLES / name / "requirements.txt"
    environment.install("-r", requirements, "mypy", "pyright[nodejs]", *STUBS.get(name, []), wheels=built)
    run([environment.python, "-m", "mypy", *TYPES, "--cache-dir", folder / "mypy", "."], code)
    run([environment.python, "-m", "pyright", "--pythonpath", environment.python, "."], code)


def _end(why: str) -> NoReturn:
    print(f"{why}\nrelease-check: nothing can be released", file=sys.stderr)
    sys.exit(1)


def _say(text: str) -> None:
    print(f"release-check: {text}", flush=True)


if __name__ == "__main__":
    typer.run(main)
