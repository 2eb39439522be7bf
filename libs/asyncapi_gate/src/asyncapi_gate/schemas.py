"""JSON schemas as they are in a document: references followed, and taken apart into options of words."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from asyncapi_gate.reading import Document, Schema, UnreadableDocumentError

ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "discriminator", "$comment"}
)
OF_FIELDS = frozenset({"properties", "patternProperties", "dependentSchemas", "dependentRequired", "$defs"})
OF_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
OF_ONE = frozenset({"items", "contains", "then", "else"})
OF_DATA = frozenset({"enum", "const"})
APPLICATORS = frozenset({"$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"})
WORDS = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset({"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf", "format"}),
    "array": frozenset(
        {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains"}
    ),
    "object": frozenset(
        {"properties", "patternProperties", "additionalProperties", "required", "propertyNames", "minProperties"}
        | {"maxProperties", "dependentRequired", "dependentSchemas"}
    ),
}
"""The keywords that say something about values of one type only. Source: JSON Schema 2020-12, sections 6 and 10."""
FINITE: dict[str | None, list[Any]] = {"boolean": [False, True], "null": [None]}
SHOWN_CHARACTERS = 80
ANYTHING: Schema = {}
NOTHING: Schema = {"not": {}}


def says_nothing(word: str) -> bool:
    """Whether a keyword is for people, or an extension such as Zalando's `x-extensible-enum`."""
    return word in ANNOTATIONS or word.startswith("x-")


def concerns(word: str, kind: str | None) -> bool:
    """Whether a keyword says something about values of a type; with None, of any type."""
    types = [name for name, words in WORDS.items() if word in words]
    return kind is None or not types or ("number" if kind == "integer" else kind) in types


@dataclass(frozen=True)
class Option:
    """One way in which a value may fit a schema: it fits all of `words`, which hold no references and alternatives.

    `exactly` has the `oneOf` lists that led here: the value fits one alternative of each, and no other.
    """

    words: tuple[Schema, ...]
    document: Document
    exactly: tuple[Any, ...] = ()

    @property
    def type(self) -> str | None:
        """The type of the values; None if it may be any."""
        found = self.said("type")
        return "integer" if "integer" in found else next(iter(found), None)

    def said(self, word: str) -> list[Any]:
        """What is said by a keyword, once for each of the words that use it."""
        return [words[word] for words in self.words if word in words]

    @property
    def required(self) -> frozenset[str]:
        """The fields that are never absent."""
        return frozenset(name for names in self.said("required") for name in names)

    @property
    def listed(self) -> list[Any] | None:
        """The values that are listed, of which some may not fit the rest; None if they aren't listed."""
        for words in self.words:
            if "const" in words:
                return [words["const"]]
            if "enum" in words:
                return list(words["enum"])
        return FINITE.get(self.type)

    def fields(self) -> dict[str, tuple[Any, ...]]:
        """The schemas that each named field fits."""
        return {name: self.field(name) or (NOTHING,) for found in self.said("properties") for name in found}

    def field(self, name: str) -> tuple[Any, ...] | None:
        """The schemas that a field of this name fits; None if there is no such field."""
        found = [schema for words in self.words for schema in fields_said(words, name)]
        return None if any(schema is False for schema in found) else tuple(found)

    def patterns(self) -> dict[str, Any]:
        """The schemas of fields whose names fit a pattern, by pattern."""
        return {pattern: schema for found in self.said("patternProperties") for pattern, schema in found.items()}

    def others(self) -> tuple[Any, ...] | None:
        """The schemas of fields that have no name and fit no pattern; None if there are none."""
        found = [words["additionalProperties"] for words in self.words if "additionalProperties" in words]
        return None if any(schema is False for schema in found) else tuple(found)

    def item(self, index: int) -> tuple[Any, ...] | None:
        """The schemas that the item at an index fits; None if there is no such item."""
        found = [schema for words in self.words for schema in _item_said(words, index)]
        longest = min(self.said("maxItems"), default=math.inf)
        return None if index >= longest or any(schema is False for schema in found) else tuple(found)

    @property
    def places(self) -> int:
        """The number of items at the start that have a schema of their own."""
        return max((len(found) for found in self.said("prefixItems")), default=0)

    def lowest(self, *, sign: int = 1) -> tuple[float, bool]:
        """The lower bound of a number, and whether the bound itself is excluded; with -1 that of the number negated."""
        at, above = ("minimum", "exclusiveMinimum") if sign > 0 else ("maximum", "exclusiveMaximum")
        bounds = [(sign * bound, False) for bound in self.said(at)] + [
            (sign * bound, True) for bound in self.said(above)
        ]
        if self.type == "integer":
            bounds = [(math.floor(bound) + 1 if excluded else math.ceil(bound), False) for bound, excluded in bounds]
        return max(bounds, default=(-math.inf, False))


def fields_said(words: Schema, name: str) -> Iterator[Any]:
    """The schemas that apply to a field of an object."""
    if name in words.get("properties", {}):
        yield words["properties"][name]
    matching = [schema for pattern, schema in words.get("patternProperties", {}).items() if matches(pattern, name)]
    yield from matching
    if name not in words.get("properties", {}) and not matching and "additionalProperties" in words:
        yield words["additionalProperties"]


def _item_said(words: Schema, index: int) -> Iterator[Any]:
    first = words.get("prefixItems", [])
    if index < len(first):
        yield first[index]
    elif "items" in words:
        yield words["items"]


def matches(pattern: str, name: str) -> bool:
    """Whether the name of a field fits one of `patternProperties`. Raises UnreadableDocumentError."""
    try:
        return re.search(pattern, name) is not None
    except re.error as error:
        raise UnreadableDocumentError(f"the pattern {pattern!r} can't be read: {error}") from None


def options(schemas: Iterable[Any], document: Document) -> list[Option]:
    """The options of a value that fits all of these schemas; those that contradict themselves are left out."""
    found = [Option((), document)]
    for schema in schemas:
        for part in parts(schema, document):
            found = [
                Option(left.words + right.words, document, left.exactly + right.exactly)
                for left, right in product(found, _options_of_part(part, document))
            ]
    return [option for option in found if not _contradicts(option.said("type"))]


def parts(schema: Any, document: Document) -> Iterator[Schema]:
    """What a value must fit, piece by piece: words, and alternatives alone, without references and `allOf`."""
    if isinstance(schema, bool):
        yield ANYTHING if schema else NOTHING
        return
    if "$ref" in schema:
        yield from parts(document.resolved(schema), document)
    for part in schema.get("allOf", ()):
        yield from parts(part, document)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            yield {word: schema[word]}
    words = {
        word: meant
        for word, meant in schema.items()
        if word not in {"$ref", "allOf", "anyOf", "oneOf", "$defs"} and not says_nothing(word)
    }
    if words or not (schema.keys() & APPLICATORS):
        yield _with_known_rest(words, known=not schema.keys() & APPLICATORS)


def _with_known_rest(words: Schema, *, known: bool) -> Schema:
    """The words with `unevaluated...` as what it is where nothing else evaluates anything."""
    if not known or not words.keys() & {"unevaluatedProperties", "unevaluatedItems"}:
        return words
    names = {"unevaluatedProperties": "additionalProperties", "unevaluatedItems": "items"}
    return {**{names.get(word, word): meant for word, meant in words.items()}, **{
        word: meant for word, meant in words.items() if word not in names
    }}  # fmt: skip


def _options_of_part(part: Schema, document: Document) -> list[Option]:
    for word in ("anyOf", "oneOf"):
        if word in part:
            exactly = (part[word],) if word == "oneOf" else ()
            return [
                Option(option.words, document, option.exactly + exactly)
                for schema in part[word]
                for option in options([schema], document)
            ]
    if isinstance(types := part.get("type"), list):
        rest = {word: meant for word, meant in part.items() if word != "type"}
        return [Option(({"type": name, **rest},), document) for name in types]
    return [] if part == NOTHING else [Option((part,), document)]


def _contradicts(types: Sequence[str]) -> bool:
    return len({"number" if name == "integer" else name for name in types}) > 1


def plain(node: Any, document: Document, around: tuple[str, ...] = ()) -> Any:
    """A part of a schema to compare as a whole: without names of references, and without keywords for people.

    `around` has the references that lead here, which end the walk of a recursive model.
    """
    if isinstance(node, list):
        return [plain(item, document, around) for item in node]
    if not isinstance(node, dict):
        return canonical(node)
    reference = str(node.get("$ref", ""))
    if reference in around:
        return f"recursive, {around[::-1].index(reference)} above"
    inner = (*around, reference) if reference else around
    beside = {word: _plain_word(word, meant, document, inner) for word, meant in node.items() if not _is_told(word)}
    if not reference:
        lone = beside.get("allOf")
        return lone[0] if isinstance(lone, list) and len(beside) == len(lone) == 1 else beside
    found = plain(document.resolved({"$ref": reference}), document, inner)
    return {"allOf": [found], **beside} if beside else found


def _is_told(word: str) -> bool:
    return word == "$ref" or says_nothing(word)


def _plain_word(word: str, meant: Any, document: Document, around: tuple[str, ...]) -> Any:
    if word in OF_FIELDS:  # names of fields may look like keywords
        return {name: plain(schema, document, around) for name, schema in meant.items()}
    if word in OF_DATA:  # so may the names in a value
        return sorted(map(canonical, meant)) if word == "enum" else canonical(meant)
    compared = plain(meant, document, around)
    return sorted(compared) if word == "required" else compared


def below(path: str, name: str) -> str:
    """The path of a field."""
    return f"{path}.{name}" if path else name


def canonical(value: Any) -> str:
    """A JSON value as text, for comparisons: in Python, True equals 1; in JSON, 1.0 does."""
    return json.dumps(_whole(value), sort_keys=True)


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(part) for part in value]
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown(meant: Any) -> str:
    """A keyword's value, for a person: shortened, and `none` if it is missing."""
    text = "none" if meant is None else meant if isinstance(meant, str) else json.dumps(meant, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
