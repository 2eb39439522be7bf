"""The consumer's half: rules by which the very values of an example are expected back, and what a good example is."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pact_faststream.records import Example
from pact_faststream.rules import FORMATS, Rule, Schema, all_of, pattern_of, schema_of


@dataclass(frozen=True)
class Leaf:
    """A value of an example, where it is, and what its model says of it."""

    path: str
    value: Any
    schema: Schema

    @property
    def form(self) -> str:
        """Values of one form can be mixed up; empty where the model names all values."""
        if "enum" in self.schema or "const" in self.schema or isinstance(self.value, bool | None):
            return ""
        return str(self.schema.get("format") or self.schema.get("pattern") or type(self.value).__name__)


def value_rules(example: Example) -> dict[str, Rule]:
    """Rules by JSON path, for `with_matching_rules`: each value is the example's.

    An id may be written in either case, and an instant in UTC with any number of zeros: a reader's model takes both.
    """
    return {leaf.path: _rule(leaf) for leaf in leaves(example)}


def confusions(first: Example, second: Example, same: Collection[str]) -> Iterator[str]:
    """What two examples leave unseen: a constant, or two fields that are mixed up."""
    mine, others = {leaf.path: leaf for leaf in leaves(first)}, {leaf.path: leaf for leaf in leaves(second)}
    for path, leaf in mine.items():
        if path in others and others[path].value == leaf.value and path not in same and not _is_alone(leaf.schema):
            yield f"{path} is {leaf.value!r} in both examples: a constant would pass; or name it in `same`"
    for found in (mine, others):
        seen: dict[tuple[str, Any], str] = {}
        for path, leaf in found.items():
            other = seen.setdefault((leaf.form, leaf.value), path) if leaf.form else path
            if other != path:
                yield f"{other} and {path} are both {leaf.value!r}: if they were mixed up, nobody would see it"


def leaves(example: Example) -> Iterator[Leaf]:
    """All values of an example that were set."""
    schema = type(example).model_json_schema()
    body = json.loads(example.model_dump_json(exclude_unset=True))
    return _leaves("$", body, schema, schema.get("$defs", {}))


def _leaves(path: str, value: Any, schema: Schema, definitions: Schema) -> Iterator[Leaf]:
    schema = schema_of(schema, definitions, null=value is None)
    match value:
        case dict():
            for name, field in value.items():
                yield from _leaves(f"{path}.{name}", field, schema.get("properties", {}).get(name, {}), definitions)
        case list():
            for number, item in enumerate(value):
                yield from _leaves(f"{path}[{number}]", item, schema.get("items", {}), definitions)
        case _:
            yield Leaf(path, value, schema)


def _rule(leaf: Leaf) -> Rule:
    match leaf.value, leaf.schema.get("format"):
        case None, _:
            return all_of({"match": "null"})
        case str(text), "uuid":
            this_one = f"(?i)^{re.escape(str(UUID(text)))}$"
            return all_of({"match": "regex", "regex": this_one}, {"match": "regex", "regex": FORMATS["uuid"]})
        case str(text), "date-time":
            form = pattern_of(leaf.schema) or FORMATS["date-time"]
            return all_of({"match": "regex", "regex": _instant(text)}, {"match": "regex", "regex": form})
        case _:
            return all_of({"match": "equality"})


def _instant(text: str) -> str:
    at = datetime.fromisoformat(text).astimezone(UTC)
    digits = f"{at.microsecond:06}".rstrip("0")
    fraction = rf"\.{digits}0*" if digits else r"(\.0+)?"
    return f"^{at:%Y-%m-%dT%H:%M:%S}{fraction}(Z|[+-]00:00)$"


def _is_alone(schema: Mapping[str, Any]) -> bool:
    return "const" in schema or len(schema.get("enum", ())) == 1
