"""mutmut's private files and names. Bound: `mutmut<3.9`; canaries: tests/unit/test_canaries.py.

`mutmut results` prints names and statuses for people, without killed mutants. Used instead: mutmut's own files
`mutants/**/*.meta`, the exit codes in them, and its names for functions.
"""

import json
from collections.abc import Iterator
from pathlib import Path

KILLED = {1, 3, 24, 36, 152, 255, -24}
"""Exit codes of mutants that made a test fail, or ran too long."""
RESULTS = "exit_code_by_key"
MUTANT = "MUTANT_UNDER_TEST"
"""The variable with the name of the mutant in whose run a test is."""
IN_A_NAME = "__mutmut_"
"""In each mutant's name, and in no name of mutmut's other runs."""
NO_MUTANT = "Filtered for specific mutants, but nothing matches"
"""What it says where the functions that were asked for have no mutant."""


def judged(folder: Path, source: str) -> Iterator[tuple[str, bool]]:
    """The mutants of a source file (a path in `folder`) that were run: the name, and whether a test killed it."""
    results = folder / "mutants" / f"{source}.meta"
    if results.exists():
        for name, code in json.loads(results.read_text())[RESULTS].items():
            if code is not None:
                yield name, code in KILLED


def name_of(function: str, class_name: str | None = None) -> str:
    """The beginning of the names of a function's mutants, without the module."""
    return f"xǁ{class_name}ǁ{function}" if class_name else f"x_{function}"
