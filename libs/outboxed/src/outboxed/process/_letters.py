"""Dead letters as a list: for people as a table that cuts nothing, for programs as JSON."""

import json
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from outboxed._printable import object_of, position, printable, text_of
from outboxed.storage import DeadLetter

NARROWEST_REASON = 40
PIPED_WIDTH = 250
"""A file or a pipe has no width of its own."""


def listed(letters: Sequence[DeadLetter], *, title: str) -> None:
    """Print a table. Only reasons are folded: in a narrow terminal its own lines wrap, and no id loses a letter."""
    table = Table(title=title)
    for name in ("id", "source", "type", "topic", "key", "position", "failed at"):
        table.add_column(name, no_wrap=True)
    table.add_column("reason", overflow="fold", min_width=NARROWEST_REASON)
    for letter in letters:
        table.add_row(*(Text(printable(cell)) for cell in _cells(letter)))
    console = Console()
    width = console.width if console.is_terminal else PIPED_WIDTH
    options = console.options.update(width=10_000)
    console.width = max(width, Measurement.get(console, options, table).minimum)
    console.print(table, crop=False, soft_wrap=False)


def listed_as_json(letters: Sequence[DeadLetter]) -> None:
    """Print an object a line, without what a record holds, which may be personal data."""
    for letter in letters:
        typer.echo(json.dumps(object_of(letter)))


def _cells(letter: DeadLetter) -> Sequence[object]:
    where = "" if letter.source == "task" else letter.topic
    place = "" if letter.source == "task" else position(letter)
    of_key = text_of(letter.key)
    return letter.id, letter.source, letter.type, where, of_key, place, f"{letter.failed_at:%F %T}", letter.reason
