"""What a bench printed, read again: its tables and its last line."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

HEAD, BODY = "┃", "│"
BEGIN, END = "┏", "└"
OVER_ITS_LIMIT = "; over its limit"
"""The end of the line about a run that failed its bench."""


class NotPrintedError(ValueError):
    """A bench printed something else than expected; the message is one line for a person."""


@dataclass(frozen=True)
class Table:
    """Cells as text, and what stands above and below them."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    caption: str = ""

    def column(self, name: str) -> Sequence[str]:
        """The cells below a heading. Raises NotPrintedError."""
        if name not in self.columns:
            raise NotPrintedError(f"no column {name!r} among {', '.join(self.columns)}")
        return [row[self.columns.index(name)] for row in self.rows]

    def numbers(self, name: str) -> Sequence[float]:
        """The same as numbers. Raises NotPrintedError, ValueError."""
        return [float(cell.replace(",", "")) for cell in self.column(name)]


@dataclass(frozen=True)
class Printed:
    """`about` says on what and when it ran."""

    about: str
    tables: Sequence[Table]
    last_line: str

    @property
    def is_over_its_limit(self) -> bool:
        """Whether the bench said so by its exit status."""
        return self.about.endswith(OVER_ITS_LIMIT)


def read(text: str) -> Printed:
    """Read a stored text: a line about the run, and what the bench printed. Raises NotPrintedError."""
    about, _, printed = text.partition("\n")
    lines = printed.rstrip().splitlines()
    if not lines or lines[-1].startswith(tuple("┏┃┡│├└ ")):
        raise NotPrintedError(f"the bench's last line is {lines[-1] if lines else ''!r}: no figure")
    return Printed(about, [*_tables(lines)], lines[-1])


def _tables(lines: Sequence[str]) -> Iterator[Table]:
    """The boxes that rich draws. Raises NotPrintedError for a cell that goes over several lines."""
    begin = 0
    for number, line in enumerate(lines):
        if line.startswith(BEGIN):
            begin = number
        elif line.startswith(END):
            columns, *rows = map(_cells, filter(_is_row, lines[begin:number]))
            if wrapped := [row for row in rows if not row[0]]:
                raise NotPrintedError(f"a cell goes over several lines: {', '.join(filter(None, wrapped[0]))}")
            if _stands_below_another(lines, begin):
                raise NotPrintedError("no empty line before a table: nobody knows whose the text between two is")
            # rich centres them above and below the box; nothing else that a bench prints is indented
            title, caption = _indented(reversed(lines[:begin])), _indented(lines[number + 1 :])
            yield Table(columns, rows, " ".join(reversed(title)), "; ".join(caption))


def _stands_below_another(lines: Sequence[str], begin: int) -> bool:
    """Whether what stands between a box and the one before is all text."""
    for line in reversed(lines[:begin]):
        if line.startswith(END):
            return True
        if not line or not line.startswith(" "):
            return False
    return False


def _is_row(line: str) -> bool:
    return line.startswith((HEAD, BODY))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(line[0])[1:-1]]


def _indented(lines: Iterable[str]) -> list[str]:
    return [line.strip() for line in takewhile(lambda line: line.startswith(" "), lines)]
