"""`python -m tools.examples`: each project of examples/ with the libraries as they would be installed from an index.

For each example, Python and resolution: the wheels of `uv build`, an environment of its own, its tests. The lines that
the project changed are those between its folders `before` and `after`.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Annotated

import typer

from tools import uv
from tools.pythons.interpreters import MissingPythonError, interpreter

EXAMPLES = uv.ROOT / "examples"
LIBRARIES = ("outboxed", "backing_services", "pact_faststream")
PYTHONS = ("3.11", "3.13")
RESOLUTIONS = {"newest": "highest", "lowest": "lowest-direct"}
MOST_LINES = 15


def main(python: Annotated[list[str] | None, typer.Option(help="Such as 3.13; several are possible.")] = None) -> None:
    """Exit with 1 where an example's tests fail, or where it changes more than 15 lines; a missing Python is named."""
    names = sorted(path.parent.name for path in EXAMPLES.glob("*/requirements.txt"))
    lines = {name: sum(_changed(EXAMPLES / name)) for name in names}
    programs = dict(_programs(python or PYTHONS))
    with tempfile.TemporaryDirectory(prefix="examples-") as folder:
        Path(folder).chmod(0o755)  # as root the embedded PostgreSQL runs as nobody, who needs access
        wheels = Path(folder) / "wheels"
        for library in LIBRARIES:
            _run([uv.program(), "build", "--quiet", "--wheel", "--out-dir", wheels, uv.ROOT / "libs" / library])
        for name in names:
            for version, program in programs.items():
                for label, resolution in RESOLUTIONS.items():
                    passed = _tried(name, program, resolution, wheels, Path(folder) / f"{name}-{version}-{label}")
                    print(f"{name}: {lines[name]} changed lines, Python {version}, {label}: {passed}", flush=True)
    most = max(lines.values())
    print(
        f"examples: {len(names)} examples, Python {' and '.join(programs)}, {' and '.join(RESOLUTIONS)} versions, "
        f"at most {most} changed lines"
    )
    if most > MOST_LINES or not programs:
        sys.exit(1)


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


def _tried(name: str, program: Path, resolution: str, wheels: Path, environment: Path) -> str:
    example = EXAMPLES / name
    _run([uv.program(), "venv", "--quiet", "--python", program, environment])
    install: list[Path | str] = [uv.program(), "pip", "install", "--quiet", "--python", environment / "bin" / "python"]
    _run([*install, "--find-links", wheels, "--resolution", resolution, "-r", example / "requirements.txt"])
    python: Path | str = environment / "bin" / "python"
    output = _run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "pytest.ini", "tests"], example)
    return next(line for line in reversed(output.splitlines()) if " passed" in line)


def _run(command: Sequence[Path | str], folder: Path = uv.ROOT) -> str:
    done = subprocess.run(  # noqa: S603 - ours
        command, cwd=folder, env=uv.own_environment(), check=False, capture_output=True, text=True
    )
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        print(f"examples: {' '.join(map(str, command))} ended with {done.returncode}", file=sys.stderr)
        sys.exit(1)
    return done.stdout


if __name__ == "__main__":
    typer.run(main)
