"""`python -m docs.site`: the documentation as a site; with it, what the tests know of behaviours and journeys."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from shop_harness.services import SERVICES

from docs.site import reference
from docs.site.behaviours import page, sentence
from tools.browser_files import FetchError, fetched

ROOT = Path(__file__).parents[2]
STAGE, SITE = ROOT / "build" / "docs", ROOT / "build" / "site"
CONFIGURATION = ROOT / "docs" / "site" / "mkdocs.yml"
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)]*)?\)")
SCRIPTS = "javascripts"
PICTURES = ROOT / "docs" / "pictures"
DIAGRAM = "```mermaid\n"
HIDDEN = ("tests/", "build/", ".github/", "libs/pact_faststream/tests/")


def main() -> int:
    """The exit status: not 0 if a journey fails, a link leads nowhere, or mkdocs warns of anything."""
    try:
        scripts = {f"{name}.js": fetched(name) for name in ("mermaid", "iframe-worker")}
    except FetchError as error:
        print(f"docs: {error}", file=sys.stderr)
        return 2
    shutil.rmtree(STAGE, ignore_errors=True)
    pages = _pages()
    pictures = {picture.relative_to(ROOT).as_posix() for picture in PICTURES.iterdir()}
    for name in pages:
        _put(name, _without_links_to_code(name, (ROOT / name).read_text(), pages | pictures))
    shutil.copytree(PICTURES, STAGE / PICTURES.relative_to(ROOT))
    for service in SERVICES:
        _put(f"behaviours/{service}.md", page(service, ROOT / "services" / service / "tests"))
    for name, text in reference.pages():
        _put(name, text)
    stories = _stories()
    if not stories:
        return 1
    _put("journeys.md", _journeys(stories))
    for name, script in scripts.items():
        _put(f"{SCRIPTS}/{name}", script.read_text())
    return _build()


def _build() -> int:
    # not --quiet: with it mkdocs doesn't count the warnings that --strict is about
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(CONFIGURATION)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "true"}
    run = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)  # noqa: S603
    if run.returncode:
        said = (run.stdout + run.stderr).splitlines()
        print(*(line for line in said if not line.startswith("INFO")), sep="\n", file=sys.stderr)
    else:
        print(f"docs: {len(list(SITE.rglob('*.html')))} pages: open {SITE.relative_to(ROOT)}/index.html in a browser")
    return run.returncode


def _pages() -> set[str]:
    """Every page that git knows or would know."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()  # noqa: S603
    return {name for name in names if not name.startswith(HIDDEN) and (ROOT / name).exists()}


def _put(name: str, text: str) -> None:
    if DIAGRAM in text and name.endswith(".md"):  # the theme would fetch it from elsewhere; it is large
        text += f'\n<script src="{os.path.relpath(SCRIPTS, Path(name).parent)}/mermaid.js"></script>\n'
    (STAGE / name).parent.mkdir(parents=True, exist_ok=True)
    (STAGE / name).write_text(text)


def _without_links_to_code(name: str, text: str, pages: set[str]) -> str:
    """The site has pages only: a link to a file of the repository becomes the file's name."""

    def replaced(link: re.Match[str]) -> str:
        target = os.path.normpath(Path(name).parent / link[2])
        return link[0] if target in pages or not (ROOT / target).exists() else link[1]

    return LINK.sub(replaced, text)


def _stories() -> Mapping[str, str]:
    """Each journey's diagram by the name of its test, from a run of the journeys in memory."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-m", "journey", "-k", "memory", "tests/journey"]
        environment = os.environ | {"OUTBOXED_STORIES": folder}
        run = subprocess.run(command, cwd=ROOT, check=False, env=environment, capture_output=True, text=True)  # noqa: S603
        if run.returncode:
            print(run.stdout, run.stderr, file=sys.stderr)
            return {}
        return {path.stem.partition("[")[0]: path.read_text() for path in sorted(Path(folder).glob("*.mmd"))}


def _journeys(stories: Mapping[str, str]) -> str:
    parts = ["# Journeys\n\nDrawn from what happened in a run of `tests/journey`, by trace ids.\n"]
    parts += [f"## {sentence(test).rstrip('.')}\n\n```mermaid\n{diagram}\n```\n" for test, diagram in stories.items()]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
