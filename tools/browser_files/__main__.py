"""`python -m tools.browser_files`: fetch again what is committed of npm's packages, after a change of pins.toml."""

import sys

from tools.browser_files import FetchError, packages
from tools.uv import ROOT


def main() -> int:
    """The exit status: 2 where a package can't be had."""
    for package in packages().values():
        try:
            places = package.fetch()
        except FetchError as error:
            print(f"browser files: {error}", file=sys.stderr)
            return 2
        for place in places:
            print(f"{place.stat().st_size / 1000:7.0f} kB  {place.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
