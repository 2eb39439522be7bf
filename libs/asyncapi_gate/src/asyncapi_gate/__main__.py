"""`python -m asyncapi_gate --against REVISION`: finds what the work tree's documents break for consumers.

`python -m asyncapi_gate --drop-forms DAYS` drops forms of events that can't be met any more.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from asyncapi_gate.forms import droppable
from asyncapi_gate.gate import Change, breaking_changes
from asyncapi_gate.reading import UnreadableDocumentError, read_document
from asyncapi_gate.revisions import RevisionError, documents_at

FOLDER = Path("contracts/asyncapi")
BROKEN, MISUSED = 1, 2
NOTHING: Mapping[str, Any] = {"info": {"title": "nothing"}}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def _gate(
    against: Annotated[str | None, typer.Option(help="The git revision that consumers were built on.")] = None,
    drop_forms: Annotated[int | None, typer.Option(help="Days since a form was followed by another one.")] = None,
    files: Annotated[list[Path] | None, typer.Argument(help=f"Documents; else all in {FOLDER}.")] = None,
) -> None:
    """Fail, with a line for each change, if there are breaking changes of published events; or drop old forms."""
    if (against is None) == (drop_forms is None):
        typer.echo("asyncapi: either --against or --drop-forms is needed", err=True)
        raise typer.Exit(MISUSED)
    if drop_forms is not None:
        _drop(drop_forms)
    if against is not None:
        _compare(against, files)


def _drop(days: int) -> None:
    paths = droppable(FOLDER, days)
    for path in paths:
        path.unlink()
    typer.echo("\n".join(f"dropped {path}" for path in paths) or f"no form was followed more than {days} days ago")


def _compare(against: str, files: Sequence[Path] | None) -> None:
    try:
        changes = list(_changes(against, files))
    except (RevisionError, UnreadableDocumentError) as error:
        typer.echo(f"asyncapi: {error}", err=True)
        raise typer.Exit(MISUSED) from None
    typer.echo("\n".join(map(str, changes)) or f"no published event of {against} is broken")
    if changes:
        raise typer.Exit(BROKEN)


def _changes(revision: str, files: Sequence[Path] | None) -> Iterator[Change]:
    for folder in sorted({path.parent for path in files} if files else {FOLDER}):
        earlier = documents_at(revision, folder)
        names = [path.name for path in files if path.parent == folder] if files else sorted(earlier)
        for path in [folder / name for name in names]:
            if path.name in earlier:
                yield from breaking_changes(earlier[path.name].content, _document(path))
            elif not path.exists():
                raise RevisionError(f"there is no {path}, neither here nor at {revision}")


def _document(path: Path) -> Mapping[str, Any]:
    """A document; one that was deleted publishes nothing any more."""
    return read_document(path).content if path.exists() else NOTHING


if __name__ == "__main__":
    app()
