"""The gate: which changes of a published event break consumers that were built on the earlier event.

A consumer can read what the earlier document allows, and ignores unknown fields. So a change is harmless if the earlier
document allows all that the later one allows, apart from new fields.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from asyncapi_gate.gate.comparison import Comparison, Finding, Place
from asyncapi_gate.reading import Document, Message, Schema

GUIDE = "docs/evolving-events.md"
VERSION = re.compile(r"\.v(\d+)$")


@dataclass(frozen=True)
class Change:
    """A breaking change: the event, the field, what has changed, and what to do instead.

    `field` is a path such as `items[].quantity`, `prices.*`, `header ce_type`, or empty for the event itself.
    """

    event: str
    field: str
    what: str
    instead: str

    def __str__(self) -> str:
        place = f"{self.event}: {self.field}" if self.field else self.event
        return f"{place}: {self.what}. {self.instead} ({GUIDE})"


def breaking_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Compare what two AsyncAPI documents of one service say about the events that it sends.

    Raises UnreadableDocumentError.
    """
    earlier, later = Document(before), Document(after)
    compared = Comparison(earlier, later)
    changes: list[Change] = []
    for event, message in earlier.sent.items():
        if event in later.sent:
            instead = f"Publish {_next_version(event, earlier)} beside it"
            found = changed_message(message, later.sent[event], compared)
            changes += [Change(event, field, what, instead) for field, what in found]
        elif not message.is_deprecated:
            instead = "Mark it as deprecated first, and retire it when no pact names it"
            changes.append(Change(event, "", "is no longer published", instead))
    return changes


def _next_version(event: str, document: Document) -> str:
    found = VERSION.search(event)
    stem, number = VERSION.sub("", event), int(found[1]) if found else 1
    return next(name for number in count(number + 1) if (name := f"{stem}.v{number}") not in document.sent)


def changed_message(before: Message, after: Message, compared: Comparison) -> Iterator[Finding]:
    """What a reader of the earlier message can't read in the later one."""
    if before.topic != after.topic:
        yield "", f"topic {before.topic} became {after.topic}"
    if before.key_field != after.key_field:
        yield "", f"key {before.key_field} became {after.key_field}"
    for field, what in compared.of(Place(), _kept_headers(before.headers, after.headers), (after.headers,)):
        yield f"header {field}", what
    yield from compared.of(Place(), before.payload, (after.payload,))


def _kept_headers(before: Schema, after: Schema) -> Schema:
    """The earlier headers without optional ones that are gone: no consumer could rely on those."""
    required, left = before.get("required", []), after.get("properties", {})
    kept = {name: schema for name, schema in before.get("properties", {}).items() if name in required or name in left}
    return {**before, "properties": kept}
