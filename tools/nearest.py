"""Which tests are asked first whether they see a change: where one does, the others needn't run."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path


def nearest_first(tests: Iterable[str], changed: Collection[str], root: Path) -> Sequence[str]:
    """Tests that name a changed file, then those whose own name has most words of its path; all are paths in `root`."""
    names = {Path(file).name for file in changed}
    words = {word for file in changed for part in _inner(file) for word in part.split("_") if word}

    def distance(test: str) -> tuple[bool, int]:
        text = (root / test).read_text()
        return not any(name in text for name in names), -len(words & {*Path(test).stem.split("_")})

    return sorted(tests, key=distance)


def _inner(file: str) -> Sequence[str]:
    """The parts of a path below its package, which has four: `libs/outboxed/src/outboxed`."""
    parts = Path(file).with_suffix("").parts
    return parts[4:] or parts[-1:]
