"""What is known of mutmut beside its commands. Bound: `mutmut<3.9`; canaries: tests/unit/test_canaries.py.

`mutmut results` prints names and statuses for people, without those that were killed. Used instead: the files
`mutants/**/*.meta` that it keeps for itself, the exit codes in them, and its names for functions.
"""

import json
from collections.abc import Iterator
from pathlib import Path

KILLED = {1, 3, 24, 36, 152, 255, -24}
"""Exit codes of a mutant with which a test failed, or that ran too long."""
RESULTS = "exit_code_by_key"


def judged(folder: Path, source: str) -> Iterator[tuple[str, bool]]:
    """The mutants of a source file (a path in `folder`) that were run: name, and whether a test killed it."""
    results = folder / "mutants" / f"{source}.meta"
    if results.exists():
        for name, code in json.loads(results.read_text())[RESULTS].items():
            if code is not None:
                yield name, code in KILLED


def name_of(function: str, class_name: str | None = None) -> str:
    """The beginning of the names of a function's mutants, behind the module's."""
    return f"xǁ{class_name}ǁ{function}" if class_name else f"x_{function}"
