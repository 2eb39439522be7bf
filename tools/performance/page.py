"""The parts of docs/performance.md that are what the benches printed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from docs.site import marked
from tools.performance.printed import Printed, Table

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
DRAWN: Mapping[str, Sequence[int]] = {"price": (1,)}
"""Tables that are too long for the page: the plots have them."""
OVER = "**This run was over its limit.**\n"


def filled(page: str, printed: Mapping[str, Printed]) -> str:
    """The page with what was printed. Raises ValueError for a bench that has no place in it."""
    return marked.filled(page, {name: _part(name, one) for name, one in printed.items()})


def _part(name: str, printed: Printed) -> str:
    tables = [each for number, each in enumerate(printed.tables) if number not in DRAWN.get(name, ())]
    paragraphs = [paragraph for table in tables for paragraph in _shown(table)]
    over = [OVER] if printed.is_over_its_limit else []
    return "\n".join([*paragraphs, f"`{printed.last_line}`\n", *over, f"{printed.about}.\n"])


def _shown(table: Table) -> Iterator[str]:
    if table.title:
        yield f"{_sentence(table.title)}:\n"
    yield marked.table(table.columns, table.rows)
    if table.caption:
        yield f"{_sentence(table.caption)}.\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
