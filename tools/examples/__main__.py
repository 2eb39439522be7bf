"""`python -m tools.examples`: each project of examples/ with the libraries as they would be installed from an index.

For each example, Python and resolution: the wheels of `uv build`, an environment of its own, its tests. The lines that
the project changed are those between its folders `before` and `after`.
"""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tools.examples.trying import MOST_LINES, names, try_all
from tools.packaged import RESOLUTIONS, StepError, build
from tools.pythons.interpreters import available

PYTHONS = ("3.11", "3.13")


def main(python: Annotated[list[str] | None, typer.Option(help="Such as 3.13; several are possible.")] = None) -> None:
    """Exit with 1 where an example's tests fail, or where it changes more than 15 lines; a missing Python is named."""
    programs = available(python or PYTHONS, "examples")
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


if __name__ == "__main__":
    typer.run(main)
