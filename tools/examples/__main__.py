"""`python -m tools.examples`: each project of examples/ with the libraries as they would be installed from an index.

For each example, Python and resolution: the wheels of `uv build`, an environment of its own, its tests. The lines that
the project changed are those between its folders `before` and `after`.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Annotated

import typer

from tools import uv
from tools.packaged import RESOLUTIONS, Environment, StepError, build, run
from tools.pythons.interpreters import MissingPythonError, interpreter

EXAMPLES = uv.ROOT / "examples"
PYTHONS = ("3.11", "3.13")
MOST_LINES = 15


def main(python: Annotated[list[str] | None, typer.Option(help="Such as 3.13; several are possible.")] = None) -> None:
    """Exit with 1 where an example's tests fail, or where it changes more than 15 lines; a missing Python is named."""
    programs = dict(_programs(python or PYTHONS))
    with tempfile.TemporaryDirectory(prefix="examples-") as folder:
        Path(folder).chmod(0o755)  # as root the embedded PostgreSQL runs as nobody, who needs access
        try:
            build(Path(folder) / "wheels", "--wheel")
            most = try_all(programs, Path(folder) / "wheels", Path(folder))
        except StepError as error:
            print(f"{error}\nexamples: an example failed", file=sys.stderr)
            sys.exit(1)
    print(
        f"examples: {len(names())} examples, Python {' and '.join(programs)}, {' and '.join(RESOLUTIONS)} versions, "
        f"at most {most} changed lines"
    )
    if most > MOST_LINES or not programs:
        sys.exit(1)


def names() -> Sequence[str]:
    return sorted(path.parent.name for path in EXAMPLES.glob("*/requirements.txt"))


def try_all(programs: Mapping[str, Path], wheels: Path, folder: Path) -> int:
    """Run each example's tests on each Python; returns the most lines that one changes. Raises StepError."""
    lines = {name: sum(_changed(EXAMPLES / name)) for name in names()}
    for name in names():
        for version, program in programs.items():
            for label, resolution in RESOLUTIONS.items():
                passed = _tried(name, program, resolution, wheels, folder / f"{name}-{version}-{label}")
                print(f"{name}: {lines[name]} changed lines, Python {version}, {label}: {passed}", flush=True)
    return max(lines.values())


def _programs(versions: Sequence[str]) -> Iterator[tuple[str, Path]]:
    for version in versions:
        try:
            yield version, interpreter(version)
        except MissingPythonError as error:
            print(f"examples: {version} can't be had here: {error}", flush=True)


def _changed(example: Path) -> Iterator[int]:
    """For each file, the lines that were added, replaced or removed."""
    before, after = example / "before", example / "after"
    for name in sorted({path.relative_to(side) for side in (before, after) for path in side.rglob("*.py")}):
        old, new = _lines(before / name), _lines(after / name)
        for kind, first, last, begin, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if kind != "equal":
                yield max(last - first, end - begin)


def _lines(file: Path) -> list[str]:
    """Those with something on them, after the module's docstring."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [line for line in lines if line.strip() and not line.startswith('"""')]


def _tried(name: str, program: Path, resolution: str, wheels: Path, folder: Path) -> str:
    example = EXAMPLES / name
    environment = Environment.made(folder, program)
    environment.install("-r", example / "requirements.txt", wheels=wheels, resolution=resolution)
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "pytest.ini", "tests"]
    output = run([environment.python, *pytest], example)
    return next(line for line in reversed(output.splitlines()) if " passed" in line)


if __name__ == "__main__":
    typer.run(main)
