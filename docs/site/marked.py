"""Pages with parts that a program writes: each stands between two comments with its name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def filled(page: str, parts: Mapping[str, str]) -> str:
    """The page with its parts as they are now. Raises ValueError for a part that has no place."""
    for name, part in parts.items():
        before, begin, rest = page.partition(f"<!-- begin: {name} -->\n")
        _, end, after = rest.partition(f"<!-- end: {name} -->")
        if not (begin and end):
            raise ValueError(f"the page has no place for {name}")
        page = f"{before}{begin}\n{part}\n{end}{after}"
    return page


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("|" + "|".join(f" {cell} " if str(cell) else " " for cell in line) + "|\n" for line in lines)
