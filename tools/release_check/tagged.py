"""`python -m tools.release_check.tagged outboxed-v0.1.0`: build the library of a tag into dist/."""

import re
import shutil
import sys

from tools import uv
from tools.packaged import Library, StepError, libraries, run

TAG = re.compile(r"(?P<distribution>[a-z][a-z-]*)-v(?P<version>\d+\.\d+\.\d+)")
FORM = "such as outboxed-v0.1.0"


def tagged(tag: str) -> Library:
    """The library of a tag. Raises ValueError unless the tag's version is the library's own."""
    found = TAG.fullmatch(tag)
    if found is None:
        raise ValueError(f"{tag!r} is no tag of a library, {FORM}")
    by_name = {library.distribution: library for library in libraries()}
    library = by_name.get(found["distribution"])
    if library is None:
        raise ValueError(f"there is no library {found['distribution']}; there are {', '.join(sorted(by_name))}")
    if (own := library.project["version"]) != found["version"]:
        raise ValueError(f"the tag says {found['version']}, and the pyproject.toml of {library.distribution} {own}")
    return library


def main(tag: str) -> None:
    """A wrong tag is one line and exit 2."""
    try:
        library = tagged(tag)
        shutil.rmtree(uv.ROOT / "dist", ignore_errors=True)
        run([uv.program(), "build", "--quiet", "--out-dir", uv.ROOT / "dist", library.folder])
        (uv.ROOT / "dist" / ".gitignore").unlink(missing_ok=True)  # uv's own: what is published are the built files
    except ValueError as error:
        print(f"release-build: {error}", file=sys.stderr)
        sys.exit(2)
    except StepError as error:
        print(f"release-build: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"release-build: {', '.join(sorted(path.name for path in (uv.ROOT / 'dist').iterdir()))}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
