"""The gate: which changes of a published event break consumers that were built on the earlier event.

A consumer can read what the earlier document allows, and ignores unknown fields. So a change is harmless if the earlier
document allows all that the later one allows, apart from new fields.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from asyncapi_gate.reading import Document, Message, Schema
from asyncapi_gate.schemas import LOWER_BOUNDS, UPPER_BOUNDS, alternatives, below, plain, says_nothing, shown

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
    changes: list[Change] = []
    for event, message in earlier.sent.items():
        if event in later.sent:
            instead = f"Publish {_next_version(event, earlier)} beside it"
            found = _Comparison(earlier, later).of_messages(message, later.sent[event])
            changes += [Change(event, field, what, instead) for field, what in found]
        elif not message.is_deprecated:
            instead = "Mark it as deprecated first, and retire it when no pact names it"
            changes.append(Change(event, "", "is no longer published", instead))
    return changes


def _next_version(event: str, document: Document) -> str:
    found = VERSION.search(event)
    stem, number = VERSION.sub("", event), int(found[1]) if found else 1
    return next(name for number in count(number + 1) if (name := f"{stem}.v{number}") not in document.sent)


@dataclass(frozen=True)
class _Place:
    """A place in an event; `around` has the pairs of schemas above it, which stop the walk of a recursive model."""

    path: str = ""
    around: frozenset[tuple[int, int]] = frozenset()

    def below(self, name: str) -> "_Place":
        return replace(self, path=below(self.path, name))

    def item(self) -> "_Place":
        return replace(self, path=f"{self.path}[]")


Finding = tuple[str, str]  # the field, and what changed


@dataclass(frozen=True)
class _Comparison:
    before: Document
    after: Document

    def of_messages(self, before: Message, after: Message) -> Iterator[Finding]:
        if before.topic != after.topic:
            yield "", f"topic {before.topic} became {after.topic}"
        if before.key_field != after.key_field:
            yield "", f"key {before.key_field} became {after.key_field}"
        for field, what in self._of(_Place(), _kept_headers(before.headers, after.headers), after.headers):
            yield f"header {field}", what
        yield from self._of(_Place(), before.payload, after.payload)

    def _of(self, place: _Place, before: Any, after: Any) -> Iterator[Finding]:
        pair = (id(before), id(after))
        if pair in place.around:
            return
        place = replace(place, around=place.around | {pair})
        allowed, said = alternatives(before, self.before), alternatives(after, self.after)
        if any(map(_is_null, said)) and not any(map(_accepts_null, allowed)):
            yield place.path, "may be null now"
        allowed, said = ([option for option in options if not _is_null(option)] for options in (allowed, said))
        for option in said:
            yield from self._of_option(place, allowed, option, alone=len(allowed) == len(said) == 1)

    def _of_option(self, place: _Place, allowed: list[Schema], said: Schema, *, alone: bool) -> Iterator[Finding]:
        found = [list(self._of_words(place, option, said)) for option in allowed]
        if not all(found):
            return  # an earlier alternative allows all that this one allows
        of_its_type = [index for index, option in enumerate(allowed) if option.get("type") == said.get("type")]
        if alone:
            yield from found[0]
        elif len(of_its_type) == 1:
            yield from found[of_its_type[0]]
        else:
            yield place.path, f"may be {_named(said)} now"

    def _of_words(self, place: _Place, before: Schema, after: Schema) -> Iterator[Finding]:
        if not _is_of_type(after, before):
            yield place.path, f"{_named(before)} became {_named(after)}"
            return
        yield from ((place.path, what) for what in _of_values(before, after))
        for word in before:
            if word not in {"type", "enum", "const"} and not says_nothing(word):
                yield from self._of_word(place, word, before, after)

    def _of_word(self, place: _Place, word: str, before: Schema, after: Schema) -> Iterator[Finding]:
        promised, said = before[word], after.get(word)
        match word:
            case "properties":
                yield from self._of_fields(place, promised, said or {})
            case "required":
                optional = [
                    name for name in promised if name in after.get("properties", {}) and name not in (said or ())
                ]
                yield from ((place.below(name).path, "may be absent now") for name in optional)
            case "items":
                yield from self._of(place.item(), promised, _or_anything(said))
            case "additionalProperties":
                yield from self._of_others(place, before, after) if isinstance(promised, dict) else ()
            case _ if not self._keeps(word, promised, said):
                yield place.path, f"{word} {shown(promised)} became {shown(said)}"

    def _of_fields(self, place: _Place, before: Schema, after: Schema) -> Iterator[Finding]:
        for name, schema in before.items():
            if name in after:
                yield from self._of(place.below(name), schema, after[name])
            else:
                yield place.below(name).path, "was removed"

    def _of_others(self, place: _Place, before: Schema, after: Schema) -> Iterator[Finding]:
        """Compare the values of a mapping, also those that are named fields now."""
        promised, said = before["additionalProperties"], after.get("additionalProperties")
        for name, schema in after.get("properties", {}).items():
            if name not in before.get("properties", {}):
                yield from self._of(place.below(name), promised, schema)
        if said is not False:
            yield from self._of(place.below("*"), promised, _or_anything(said))

    def _keeps(self, word: str, promised: Any, said: Any) -> bool:
        if word in LOWER_BOUNDS:
            return said is not None and bool(said >= promised)
        if word in UPPER_BOUNDS:
            return said is not None and bool(said <= promised)
        return bool(plain(promised, self.before) == plain(said, self.after))


def _kept_headers(before: Schema, after: Schema) -> Schema:
    """The earlier headers without optional ones that are gone: no consumer could rely on those."""
    required, left = before.get("required", []), after.get("properties", {})
    kept = {name: schema for name, schema in before.get("properties", {}).items() if name in required or name in left}
    return {**before, "properties": kept}


def _is_null(schema: Schema) -> bool:
    return schema.get("type") == "null"


def _accepts_null(schema: Schema) -> bool:
    return _is_null(schema) or all(says_nothing(word) for word in schema)


def _is_of_type(schema: Schema, wanted: Schema) -> bool:
    if "type" not in wanted or schema.get("type") == wanted["type"]:
        return True
    return (schema.get("type"), wanted["type"]) == ("integer", "number")


def _of_values(before: Schema, after: Schema) -> Iterator[str]:
    members, later = _values(before), _values(after)
    if members is None:
        return
    if later is None:
        yield f"may be any {_named(after)} now, was {' or '.join(members)}"
    elif len(members) == len(later) == 1 and members != later:
        yield f"{members[0]} became {later[0]}"
    else:
        yield from (f"may be {value} now" for value in later if value not in members)


def _values(schema: Schema) -> list[str] | None:
    if "const" in schema:
        return [json.dumps(schema["const"])]
    return [json.dumps(value) for value in schema["enum"]] if "enum" in schema else None


def _or_anything(schema: Any) -> Any:
    return {} if schema is None else schema


def _named(schema: Schema) -> str:
    return str(schema.get("type", "anything"))
