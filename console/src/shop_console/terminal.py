"""A story in the terminal: the console's answer as JSON, as a table."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shop_console.seen import instant
from shop_console.wording import clock, day, duration, printable


def show(story: Mapping[str, Any], console: Console) -> None:
    """Print the head, the steps, and what is missing or still open."""
    console.print(Text(" ".join(_head(story))))
    table = Table("UTC", "", "who", "what", "took", "note")
    for step in story["steps"]:
        table.add_row(*_row(step), style="red" if step["is_problem"] else None)
    console.print(table)
    for line in (*_open(story), *story["missing"]):
        console.print(Text(printable(line)))


def _head(story: Mapping[str, Any]) -> Iterator[str]:
    yield f"{story['order']}: {story['state']}"
    if story["email"]:
        yield f"of {printable(story['email'])}"
    if began := instant(str(story["began"])):
        yield f"began {day(began)} UTC, took {duration(story['seconds'])},"
    if money := story["money"]:
        yield f"charged {money['charged']}, refunded {money['refunded']} {money['currency']},"
    yield f"{len(story['records'])} records, {len(story['mails'])} e-mails,"
    yield f"trace {', '.join(story['trace_ids']) or 'unknown'}"


def _row(step: Mapping[str, Any]) -> Iterator[Text]:
    gap = f"+{duration(step['gap'])}" if step["gap"] else ""
    who = step["source"] if step["source"] == step["target"] else f"{step['source']} -> {step['target']}"
    at = instant(step["at"])
    for cell in (clock(at) if at else "", gap, who, f"{step['kind']}: {step['what']}", duration(step["seconds"])):
        yield Text(printable(cell))
    yield Text(printable(step["note"]))


def _open(story: Mapping[str, Any]) -> Iterator[str]:
    for name, service in story["services"].items():
        for task in service["known"].get("tasks", ()):
            error = f", last error: {task['last_error']}" if task["last_error"] else ""
            yield f"{name} has a task {task['kind']}, due at {task['due_at']}, {task['attempts']} attempts{error}"
