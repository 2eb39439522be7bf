"""Each example with built libraries: how many lines it changed, and its tests on a Python and a resolution."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from tools import uv
from tools.packaged import RESOLUTIONS, Environment, run

EXAMPLES = uv.ROOT / "examples"
MOST_LINES = 15


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
