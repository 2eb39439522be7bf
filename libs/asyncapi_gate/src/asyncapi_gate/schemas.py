"""JSON schemas as they are in a document: references followed, alternatives side by side."""

import json
from typing import Any

from asyncapi_gate.reading import Document, Schema

ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "discriminator", "$comment"}
)
LOWER_BOUNDS = frozenset({"minItems", "minLength", "minProperties", "minimum", "exclusiveMinimum"})
UPPER_BOUNDS = frozenset({"maxItems", "maxLength", "maxProperties", "maximum", "exclusiveMaximum"})
OF_FIELDS = frozenset({"properties", "patternProperties", "$defs"})
UNORDERED = frozenset({"required", "enum"})
SHOWN_CHARACTERS = 80
NULL: Schema = {"type": "null"}


def says_nothing(word: str) -> bool:
    """Whether a keyword is for people, or an extension such as Zalando's `x-extensible-enum`."""
    return word in ANNOTATIONS or word.startswith("x-")


def alternatives(schema: Any, document: Document) -> list[Schema]:
    """The alternatives in a schema's `anyOf`, `oneOf` or list of types, one of which must fit; else the schema."""
    schema = unwrapped(schema, document)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            siblings = {name: value for name, value in schema.items() if name != word and not says_nothing(name)}
            options = [option for part in schema[word] for option in alternatives(part, document)]
            return [{**siblings, **option} for option in options]
    if isinstance(types := schema.get("type"), list):
        return [NULL if name == "null" else {**schema, "type": name} for name in types]
    return [schema]


def unwrapped(schema: Any, document: Document) -> Schema:
    """A schema without references, and without an `allOf` around a single one; `true` and `false` as schemas."""
    found = document.resolved(schema)
    if isinstance(found, bool):
        return {} if found else {"not": {}}
    if len(found.get("allOf", [])) == 1 and all(word == "allOf" or says_nothing(word) for word in found):
        return unwrapped(found["allOf"][0], document)
    return dict(found)


def plain(node: Any, document: Document, around: frozenset[str] = frozenset()) -> Any:
    """A part of a schema to compare as a whole: without names of references, and without keywords for people.

    `around` has the references that lead here, which end the walk of a recursive model.
    """
    if isinstance(node, list):
        return [plain(item, document, around) for item in node]
    if not isinstance(node, dict):
        return canonical(node)
    reference = str(node.get("$ref", ""))
    if reference in around:
        return "recursive"
    inner = around | {reference} if reference else around
    schema = unwrapped(node, document)
    return {word: _plain_word(word, meant, document, inner) for word, meant in schema.items() if not says_nothing(word)}


def _plain_word(word: str, meant: Any, document: Document, around: frozenset[str]) -> Any:
    if word in OF_FIELDS:  # names of fields may look like keywords
        return {name: plain(schema, document, around) for name, schema in meant.items()}
    compared = plain(meant, document, around)
    return sorted(compared) if word in UNORDERED else compared


def below(path: str, name: str) -> str:
    """The path of a field."""
    return f"{path}.{name}" if path else name


def canonical(value: Any) -> str:
    """A JSON value as text, for comparisons: in Python, True equals 1."""
    return json.dumps(value, sort_keys=True)


def shown(meant: Any) -> str:
    """A keyword's value, for a person: shortened, and `none` if it is missing."""
    text = "none" if meant is None else meant if isinstance(meant, str) else json.dumps(meant, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
