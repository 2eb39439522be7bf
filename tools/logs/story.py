"""The lines of one order out of the logs of all processes, in the order of time."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shop_console.wording import printable

UNTOLD = frozenset({"service", "timestamp", "event", "level", "span_id", "parent_span_id", "trace_id", "order_id"})
"""Fields that a line shows elsewhere, or that are the same on all of an order's lines."""


@dataclass(frozen=True)
class Line:
    """A line of a process's log. `at` is its time; one that is no JSON, as of a traceback, has that of the line before.

    Lines are sorted by `at`, then by source, then by their place in it.
    """

    at: str
    source: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)


def read_lines(source: str, texts: Iterable[str]) -> Iterator[Line]:
    """The lines of a source. A line that names its service is that one's, whatever the source is called."""
    at = ""
    for text in texts:
        fields = _fields(text)
        at = str(fields.get("timestamp", at))
        yield Line(at, str(fields.get("service", source)), text.rstrip(), fields)


def _fields(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def story_of(order: str, lines: Sequence[Line]) -> list[Line]:
    """The lines that name the order, and those of their traces, unless these name another order."""
    naming = [line for line in lines if order in line.text]
    traces = {line.fields["trace_id"] for line in naming if "trace_id" in line.fields}

    def belongs(line: Line) -> bool:
        of_its_traces = line.fields.get("trace_id") in traces and line.fields.get("order_id") in {None, order}
        return of_its_traces or order in line.text

    return sorted(filter(belongs, lines), key=lambda line: line.at)


def told(line: Line) -> str:
    """For a person: when, who, what, and what else is said."""
    if not line.fields:
        return f"{line.at:<27}  {line.source:<15}  {printable(line.text)}"
    level = str(line.fields.get("level", ""))
    rest = " ".join(f"{name}={_value(value)}" for name, value in line.fields.items() if name not in UNTOLD)
    event = printable(str(line.fields.get("event", "")))
    return f"{line.at:<27}  {line.source:<15}  {level if level != 'info' else '':<8}  {event}  {rest}".rstrip()


def _value(value: object) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value))
