"""Who depends on whom, drawn from the pact files: `python -m pact_faststream.diagram PAGE` keeps it in a page."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pact_faststream._extras import extra_of_command

with extra_of_command("commands", of="python -m pact_faststream.diagram"):
    import typer

BEGIN, END = "<!-- drawn from the pact files by `make contracts` -->", "<!-- end of the drawing -->"
SECTION = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)


class DiagramError(ValueError):
    """There is no pact file, or no place in the page; the message is one line for a person."""


def diagram(pacts: Path) -> str:
    """A Mermaid flowchart of a folder of pact files: consumer to provider, labelled with what is expected.

    Raises DiagramError where there is no pact file.
    """
    arrows = [_arrow(json.loads(path.read_text())) for path in sorted(pacts.glob("*.json"))]
    if not arrows:
        raise DiagramError(f"there is no pact file in {pacts}: run `make contracts`")
    return "\n".join(["```mermaid", "flowchart LR", *(f"    {arrow}" for arrow in arrows), "```", ""])


def with_diagram(page: str, pacts: Path) -> str:
    """A page with its drawing made again. Raises DiagramError if the page has no place for a drawing."""
    if not SECTION.search(page):
        raise DiagramError(f"the page has no lines {BEGIN!r} and {END!r}, between which the drawing goes")
    return SECTION.sub(lambda _: diagram(pacts), page)


def _arrow(pact: dict[str, Any]) -> str:
    consumer, provider = pact["consumer"]["name"], pact["provider"]["name"]
    expected = "<br>".join(sorted(set(_expected(pact))))
    return f'{consumer} -- "{expected}" --> {provider}'


def _expected(pact: dict[str, Any]) -> Iterator[str]:
    for interaction in pact["interactions"]:
        if "request" in interaction:
            yield f"{interaction['request']['method']} {interaction['request']['path']}"
        else:
            yield interaction["metadata"]["ce_type"]


def _main(
    page: Annotated[Path, typer.Argument(help="A Markdown file that has a place for the drawing.")],
    pacts: Annotated[Path, typer.Option(help="The folder of the pact files.")] = Path("contracts/pacts"),
) -> None:
    """Draw who depends on whom into a page."""
    try:
        page.write_text(with_diagram(page.read_text(), pacts))
    except (DiagramError, OSError) as error:
        typer.echo(f"diagram: {error}", err=True)
        raise typer.Exit(2) from None


def main() -> None:
    """Run the command."""
    typer.run(_main)


if __name__ == "__main__":
    main()
