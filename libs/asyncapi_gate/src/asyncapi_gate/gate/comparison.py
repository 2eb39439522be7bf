"""Compares two schemas of one value, for the readers of the earlier one.

Whoever reads ignores fields that it doesn't know, and counts on all else that the earlier schema says. So each piece of
the earlier schema has to be kept by each option of the later one. Where it can't be shown that it is kept, it is not.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from asyncapi_gate.reading import Document, Schema
from asyncapi_gate.schemas import (
    ANYTHING,
    NOTHING,
    Option,
    below,
    canonical,
    concerns,
    matches,
    options,
    parts,
    plain,
    shown,
)
from asyncapi_gate.validation import fits, tolerant

Finding = tuple[str, str]
"""The path of a field, and what changed."""

TEXT: Schema = {"type": "string"}
JOINED = frozenset({"type", "const", "prefixItems", "minContains", "maxContains", "if"})
"""Words that are read where another one is: `type` and `const` with the values, the rest with `items` and so on."""


@dataclass(frozen=True)
class Place:
    """A place in an event; `around` has the pairs of schemas above it, which stop the walk of a recursive model."""

    path: str = ""
    around: frozenset[tuple[int, frozenset[str]]] = frozenset()

    def below(self, name: str) -> "Place":
        """The place of a field."""
        return replace(self, path=below(self.path, name))

    def item(self, index: str = "") -> "Place":
        """The place of a list's items, or of one of them."""
        return replace(self, path=f"{self.path}[{index}]")


@dataclass(frozen=True)
class Comparison:
    """Of schemas in two documents."""

    before: Document
    after: Document

    @cached_property
    def _read(self) -> Document:
        """The earlier document as its readers take it."""
        components = self.before.content.get("components", {})
        schemas = {name: tolerant(schema) for name, schema in components.get("schemas", {}).items()}
        return Document({**self.before.content, "components": {**components, "schemas": schemas}})

    def of(self, place: Place, before: Any, after: Sequence[Any]) -> Iterator[Finding]:
        """What a value that fits all schemas of `after` may be, and `before` did not allow."""
        pair = (id(before), frozenset(map(canonical, after)))
        if pair in place.around or (len(after) == 1 and self._is_same(before, after[0])):
            return
        place = replace(place, around=place.around | {pair})
        left: list[Option] = []
        for option in options(after, self.after):
            misfits = self._misfits(before, option)
            if option.type == "null" and misfits:
                yield place.path, "may be null now"
            elif misfits is None or misfits:
                left.append(option)
        yield from self._of_options(place, before, left)

    def _of_options(self, place: Place, before: Any, after: Sequence[Option]) -> Iterator[Finding]:
        found = list(dict.fromkeys(
            finding
            for part in parts(before, self.before)
            for option in after
            for finding in self._of_part(place, part, option, alone=len(after) == 1)
        ))  # fmt: skip
        yield from found
        if not found:  # the values are listed, and one of them doesn't fit
            misfits = (value for option in after for value in self._misfits(before, option) or ())
            yield from ((place.path, f"may be {json.dumps(value)} now") for value in misfits)

    def _of_part(self, place: Place, part: Schema, after: Option, *, alone: bool) -> Iterator[Finding]:
        if "anyOf" in part:
            yield from self._of_alternatives(place, part["anyOf"], after, alone=alone)
        elif "oneOf" in part:
            yield from self._of_alternatives(place, part["oneOf"], after, alone=alone)
            if not self._one_alone_fits(part["oneOf"], after):
                yield place.path, "may fit several of the alternatives now"
        else:
            yield from self._of_words(place, part, after, alone=alone)

    def _of_alternatives(self, place: Place, before: Sequence[Any], after: Option, *, alone: bool) -> Iterator[Finding]:
        found = [list(self._of_options(place, schema, [after])) for schema in before]
        if not all(found):
            return  # an earlier alternative allows all that this one allows
        kinds = [{option.type for option in options([schema], self.before)} for schema in before]
        of_its_type = [index for index, types in enumerate(kinds) if after.type in types]
        not_null = [index for index, types in enumerate(kinds) if types != {"null"}]
        if len(of_its_type) == 1:
            yield from found[of_its_type[0]]
        elif alone and len(not_null) == 1:
            yield from found[not_null[0]]
        else:
            yield place.path, f"may be {_named(after.type)} now"

    def _one_alone_fits(self, before: Sequence[Any], after: Option) -> bool:
        """Whether no two of the alternatives fit, for those who count them."""
        if [tolerant(schema) for schema in before] != list(before):
            return True  # nobody can tell alternatives apart by fields that aren't there
        same = [[plain(one, self.after) for one in said] for said in after.exactly]
        if [plain(schema, self.before) for schema in before] in same:
            return True
        apart = [self._apart(schema, after) for schema in before]
        return sum(not one for one in apart) <= 1 or all(
            _are_apart(one, other)
            for index, schema in enumerate(before)
            for later in before[index + 1 :]
            for one in options([schema], self.before)
            for other in options([later], self.before)
        )

    def _of_words(self, place: Place, before: Schema, after: Option, *, alone: bool) -> Iterator[Finding]:
        if not _is_of_type(after.type, before):
            may_be = not alone or before["type"] == "null"
            named = _named(after.type)
            yield place.path, f"may be {named} now" if may_be else f"{_named(before['type'])} became {named}"
            return
        yield from ((place.path, what) for what in _of_values(before, after))
        for word in before:
            if word not in JOINED and concerns(word, after.type):
                yield from self._of_word(place, word, before, after)
        if "prefixItems" in before and "items" not in before and concerns("items", after.type):
            yield from self._of_items(place, before, after)

    def _of_word(self, place: Place, word: str, before: Schema, after: Option) -> Iterator[Finding]:
        match word:
            case "enum":
                pass  # with the values
            case "properties":
                yield from self._of_fields(place, before, after)
            case "required":
                gone = before.get("properties", {}).keys() - {
                    name for said in after.said("properties") for name in said
                }
                absent = [name for name in before["required"] if name not in after.required and name not in gone]
                yield from ((place.below(name).path, "may be absent now") for name in absent)
            case "additionalProperties":
                yield from self._of_others(place, before, after) if isinstance(before[word], dict) else ()
            case "patternProperties":
                yield from self._of_patterns(place, before[word], after)
            case "items":
                yield from self._of_items(place, before, after)
            case _ if not self._keeps(place, word, before, after):
                said = after.said(word)
                yield place.path, f"{word} {shown(before[word])} became {shown(said[0] if said else None)}"

    def _of_fields(self, place: Place, before: Schema, after: Option) -> Iterator[Finding]:
        named = {name for said in after.said("properties") for name in said}
        for name, schema in before["properties"].items():
            here, said = place.below(name), after.field(name)
            found = [] if said is None else list(self.of(here, schema, said or (ANYTHING,)))
            if name in named:
                yield from found
            elif found or (name in before.get("required", ()) and name not in after.required):
                yield here.path, "was removed"

    def _of_others(self, place: Place, before: Schema, after: Option) -> Iterator[Finding]:
        """Compare the values of a mapping, also those that are named fields now."""
        promised, known = before["additionalProperties"], before.get("patternProperties", {})
        for name, said in after.fields().items():
            if name not in before.get("properties", {}) and not any(matches(pattern, name) for pattern in known):
                yield from self.of(place.below(name), promised, said)
        for pattern, schema in after.patterns().items():
            if pattern not in known:
                yield from self.of(place.below("*"), promised, (schema,))
        others = after.others()
        if others is not None:
            yield from self.of(place.below("*"), promised, others or (ANYTHING,))

    def _of_patterns(self, place: Place, before: Schema, after: Option) -> Iterator[Finding]:
        said = after.patterns()
        for pattern, promised in before.items():
            here = place.below(pattern)
            if pattern in said:
                yield from self.of(here, promised, (said[pattern],))
                continue
            for name, found in after.fields().items():
                if matches(pattern, name):
                    yield from self.of(place.below(name), promised, found)
            others = after.others()
            for schemas in [*((schema,) for schema in said.values()), *([] if others is None else [others])]:
                yield from self.of(here, promised, schemas or (ANYTHING,))

    def _of_items(self, place: Place, before: Schema, after: Option) -> Iterator[Finding]:
        first, rest = before.get("prefixItems", []), before.get("items", ANYTHING)
        for index in range(places := max(len(first), after.places)):
            said = after.item(index)
            if said is not None:
                promised = first[index] if index < len(first) else rest
                yield from self.of(place.item(str(index)), promised, said or (ANYTHING,))
        said = after.item(places)
        if said is not None:
            yield from self.of(place.item(), rest, said or (ANYTHING,))

    def _keeps(  # noqa: PLR0911 - an answer a keyword
        self, place: Place, word: str, before: Schema, after: Option
    ) -> bool:
        promised = before[word]
        if word in SIZES:
            return SIZES[word](word, promised, after)
        is_same = any(plain(promised, self.before) == plain(said, self.after) for said in after.said(word))
        match word:
            case "contains":
                return self._keeps_contains(place, before, after)
            case "then" | "else":
                return self._keeps_branch(place, word, before, after)
            case "not":
                return is_same or self._apart(promised, after)
            case "propertyNames":
                return is_same or self._keeps_names(place, promised, after)
            case "dependentRequired":
                return all(self._keeps_dependent(name, names, after) for name, names in promised.items())
            case "dependentSchemas":
                return all(
                    self._keeps_dependent_schema(place, name, schema, after) for name, schema in promised.items()
                )
            case "unevaluatedProperties" | "unevaluatedItems":  # what they mean hangs on all words around them
                return promised is True or (promised is False and word == "unevaluatedProperties")
        return is_same

    def _keeps_all(self, place: Place, before: Any, after: Sequence[Any]) -> bool:
        return not list(self.of(place, before, after))

    def _keeps_contains(self, place: Place, before: Schema, after: Option) -> bool:
        least, most = before.get("minContains", 1), before.get("maxContains")
        if most is not None:
            same = [
                words
                for words in after.words
                if plain(words.get("contains"), self.after) == plain(before["contains"], self.before)
            ]
            if not any(words.get("maxContains", math.inf) <= most for words in same):
                return min(after.said("maxItems"), default=math.inf) <= most and self._holds(
                    place, before["contains"], least, after
                )
        return self._holds(place, before["contains"], least, after)

    def _holds(self, place: Place, schema: Any, least: int, after: Option) -> bool:
        counts = [(words.get("minContains", 1), (words["contains"],)) for words in after.words if "contains" in words]
        items = [found for index in range(after.places + 1) for found in [after.item(index)] if found]
        if (
            least <= max([0, *after.said("minItems")])
            and items
            and all(self._keeps_all(place, schema, one) for one in items)
        ):
            return True
        return least == 0 or any(count >= least and self._keeps_all(place, schema, said) for count, said in counts)

    def _keeps_branch(self, place: Place, word: str, before: Schema, after: Option) -> bool:
        if "if" not in before or self._keeps_all(place, before[word], after.words):
            return True
        if (word == "then" and self._apart(before["if"], after)) or (
            word == "else" and self._keeps_all(place, _strict(before["if"]), after.words)
        ):
            return True
        same = [
            words for words in after.words if plain(words.get("if"), self.after) == plain(before["if"], self.before)
        ]
        return any(
            word in words and self._keeps_all(place, before[word], (words[word], *after.words)) for words in same
        )

    def _keeps_dependent(self, name: str, names: Sequence[str], after: Option) -> bool:
        said = {found for words in after.said("dependentRequired") for found in words.get(name, ())}
        return after.field(name) is None or set(names) <= after.required | said | {name}

    def _keeps_dependent_schema(self, place: Place, name: str, schema: Any, after: Option) -> bool:
        said = [words[name] for words in after.said("dependentSchemas") if name in words]
        return after.field(name) is None or self._keeps_all(place, schema, (*said, *after.words))

    def _keeps_names(self, place: Place, promised: Any, after: Option) -> bool:
        if self._keeps_all(place, promised, (TEXT, *after.said("propertyNames"))):
            return True
        return _is_closed(after) and all(fits(name, promised, self.before) for name in after.fields())

    def _misfits(self, before: Any, after: Option) -> list[Any] | None:
        """The values that the earlier schema doesn't allow, of an option that lists its values; None if it doesn't."""
        if after.listed is None:
            return None
        values = [value for value in after.listed if all(fits(value, words, self.after) for words in after.words)]
        read = tolerant(before)
        return [value for value in values if not fits(value, read, self._read)]

    def _is_same(self, before: Any, after: Any) -> bool:
        return bool(plain(before, self.before) == plain(after, self.after))

    def _apart(self, before: Any, after: Option) -> bool:
        """Whether no value fits both."""
        return all(_are_apart(option, after) for option in options([before], self.before))


def _strict(schema: Any) -> Any:
    """The schema, if ignoring fields changes nothing; else one that nobody keeps."""
    return schema if tolerant(schema) == schema and "$ref" not in json.dumps(schema) else NOTHING


def _are_apart(one: Option, other: Option) -> bool:
    if not _may_meet(one.type, other.type):
        return True
    for listing, rest in ((one, other), (other, one)):
        if listing.listed is not None:
            return not any(
                all(fits(value, words, rest.document) for words in rest.words)
                for value in listing.listed
                if all(fits(value, words, listing.document) for words in listing.words)
            )
    if {one.type, other.type} <= {"integer", "number"}:
        return _ends_before(one, other) or _ends_before(other, one)
    return one.type == other.type == "object" and any(
        _fields_apart(one, other, name) for name in one.required & other.required
    )


def _fields_apart(one: Option, other: Option, name: str) -> bool:
    """Whether a field that both have has one of a few values in each of them, and other ones."""
    mine, others = (options(each.field(name) or (), each.document) for each in (one, other))
    return all(
        not _may_meet(left.type, right.type)
        or (left.listed is not None and right.listed is not None and _are_apart(left, right))
        for left in mine
        for right in others
    )


def _ends_before(one: Option, other: Option) -> bool:
    highest, excluded = one.lowest(sign=-1)
    lowest, above = other.lowest()
    return -highest < lowest or (-highest == lowest and (excluded or above))


def _may_meet(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other or {one, other} == {"integer", "number"}


def _keeps_least(word: str, promised: float, after: Option) -> bool:
    of_fields = len(after.required) if word == "minProperties" else 0
    return bool(max([of_fields, *after.said(word)]) >= promised)


def _keeps_most(word: str, promised: float, after: Option) -> bool:
    return bool(min([_most(word, after), *after.said(word)]) <= promised)


def _most(word: str, after: Option) -> float:
    if word == "maxProperties" and _is_closed(after):
        return len(after.fields())
    return after.places if word == "maxItems" and after.item(after.places) is None else math.inf


def _is_closed(after: Option) -> bool:
    """Whether an object has no other fields than those that are named."""
    return after.others() is None and not after.said("patternProperties")


def _keeps_bound(word: str, promised: float, after: Option) -> bool:
    sign = 1 if word.endswith("inimum") else -1
    lowest, excluded = after.lowest(sign=sign)
    promised *= sign
    return lowest > promised or (lowest == promised and (excluded or not word.startswith("exclusive")))


def _keeps_step(word: str, promised: float, after: Option) -> bool:
    steps = [*after.said(word), *([1] if after.type == "integer" else [])]
    return any(_fraction(step) % _fraction(promised) == 0 for step in steps)


def _keeps_unique(word: str, promised: bool, after: Option) -> bool:  # noqa: FBT001 - it is what the keyword says
    return not promised or any(after.said(word)) or min(after.said("maxItems"), default=math.inf) <= 1


SIZES: Mapping[str, Callable[[str, Any, Option], bool]] = {
    **dict.fromkeys(["minLength", "minItems", "minProperties"], _keeps_least),
    **dict.fromkeys(["maxLength", "maxItems", "maxProperties"], _keeps_most),
    **dict.fromkeys(["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"], _keeps_bound),
    "multipleOf": _keeps_step,
    "uniqueItems": _keeps_unique,
}
"""Whether an option keeps a keyword that is judged by its number alone: the keyword, its value, the option."""


def _fraction(number: float) -> Fraction:
    return Fraction(str(number))


def _is_of_type(kind: str | None, wanted: Schema) -> bool:
    types = wanted.get("type", kind)
    types = types if isinstance(types, list) else [types]
    return kind in types or (kind == "integer" and "number" in types)


def _of_values(before: Schema, after: Option) -> Iterator[str]:
    members, later = _values(before), after.listed
    if members is None:
        return
    if later is None:
        yield f"may be any {_named(after.type)} now, was {' or '.join(members)}"
        return
    new = [json.dumps(value) for value in later if canonical(value) not in map(canonical, map(json.loads, members))]
    if len(members) == len(later) == len(new) == 1:
        yield f"{members[0]} became {new[0]}"
    else:
        yield from (f"may be {value} now" for value in new)


def _values(schema: Schema) -> list[str] | None:
    if "const" in schema:
        return [json.dumps(schema["const"])]
    return [json.dumps(value) for value in schema["enum"]] if "enum" in schema else None


def _named(kind: Any) -> str:
    return " or ".join(kind) if isinstance(kind, list) else str(kind or "anything")
