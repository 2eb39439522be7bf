"""The template becomes a folder: each file through Jinja, then ruff sorts and formats what names have moved."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import jinja2
from shop_harness.services import ALL, ROOT

from tools.new_service.shape import TEMPLATE, Shape

LIKE = "payments"
"""The service of whose Dockerfile and workflow a new one's are copies: tests hold all of them to that."""


def rendered(shape: Shape) -> Mapping[str, str]:
    """The texts of all files by path below the repository's root; a file that comes out empty is not made."""
    files = dict(_from_template(shape))
    files[f"services/{shape.name}/Dockerfile"] = _like(f"services/{LIKE}/Dockerfile", shape)
    files[f".github/workflows/{shape.name}.yml"] = _like(f".github/workflows/{LIKE}.yml", shape)
    return files


@cache
def environment(folder: Path) -> jinja2.Environment:
    """Of the templates in a folder, each of which is compiled once; a word that nobody has given is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - it writes Python, no HTML
    )


def write(files: Mapping[str, str]) -> None:
    """Write them, and tidy those that are Python."""
    for name, text in files.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    tidy(ROOT, files)


def tidy(root: Path, files: Iterable[str]) -> None:
    """Sort the imports, and break the lines that names have made long; `root` has the files and the settings."""
    python = [name for name in files if name.endswith(".py")]
    for command in (["check", "--fix", "--silent", "--exit-zero"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", *python]
        subprocess.run(ruff, cwd=root, check=True)  # noqa: S603


def _from_template(shape: Shape) -> Iterator[tuple[str, str]]:
    templates = environment(TEMPLATE)
    for file in sorted(TEMPLATE.rglob("*.jinja")):
        source = file.relative_to(TEMPLATE).as_posix()
        name = source.removesuffix(".jinja").replace("NAME", shape.name)
        text = templates.get_template(source).render(s=shape)
        if text.strip() or name.endswith("py.typed"):
            yield f"services/{shape.name}/{name}", text


def _like(path: str, shape: Shape) -> str:
    """A file of the service that is shown as the example, with another name, port and description."""
    text = (ROOT / path).read_text()
    for old, new in (
        (_description_of(text), shape.description),
        (LIKE, shape.name),
        (LIKE.upper(), shape.upper),
        (str(ALL[LIKE].port), str(shape.port)),
    ):
        text = text.replace(old, new) if old else text
    return text


def _description_of(dockerfile: str) -> str:
    return dockerfile.partition('image.description="')[2].partition('"')[0]
