"""What a library must have beside its code, to be released."""

import re
from collections.abc import Iterator

from tools import uv
from tools.packaged import Library

VERSION = re.compile(r"\d+\.\d+\.\d+")
NEEDED = ("description", "readme", "requires-python", "license", "license-files", "classifiers")


def problems_of(library: Library) -> Iterator[str]:
    """One line for each thing that is missing."""
    project, name = library.project, library.distribution
    yield from (f"{name}: pyproject.toml has no {each}" for each in NEEDED if not project.get(each))
    if not VERSION.fullmatch(project["version"]):
        yield f"{name}: {project['version']} is no version such as 1.2.3"
    changelog = library.folder / "CHANGELOG.md"
    if not changelog.exists() or f"## [{project['version']}]" not in changelog.read_text():
        yield f"{name}: CHANGELOG.md says nothing of {project['version']}"
    if not (library.folder / "src" / library.package / "py.typed").exists():
        yield f"{name}: there is no py.typed, without which nobody's type checker reads its types"
    licence = library.folder / "LICENSE"
    if not licence.exists() or licence.read_text() != (uv.ROOT / "LICENSE").read_text():
        yield f"{name}: LICENSE isn't that of the repository"
