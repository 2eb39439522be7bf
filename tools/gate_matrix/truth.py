"""The truth about a change: instances that the later form allows, read by readers that were built on the earlier one.

Two readers are asked, and one that fails is enough. The first takes the earlier schema at its word, and ignores unknown
fields: it is a validator. Nobody who was built on the schema alone may be stricter. The second is pydantic's model of
the earlier form, as our services have.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

from asyncapi_gate.validation import FORMATS, tolerant
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from tools.gate_matrix.changes import DEFINITIONS, FIELD, Change, Form, Schema, definitions, subschemas

TEXTS = ("", "a", "b", "x", "ab", "EUR", "USD", "eur", "E1", "EURO", "ABC", "0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10",
         "2026-01-15", "2026-01-15T12:00:00Z", "2026-01-15T12:00:00.5+01:00", "ada@example.com", "127.0.0.1", "::1",
         "1", "true", "null")  # fmt: skip
NUMBERS = (0, 1, -1, 0.5, 1.0, 2, 3, 20, 1e9, -1e9, 0.25)
NAMES = ("a", "b", "c", "x", "xy", "y", "ABC", "abcd", "abcde")
FEW = 4


@dataclass(frozen=True)
class Truth:
    """Of one change: `witness` is what the later form allows and a reader of the earlier one can't read, as JSON.

    `breaks_a_model` says whether pydantic's model alone fails, too.
    """

    witness: str | None
    breaks_a_model: bool

    @property
    def is_breaking(self) -> bool:
        return self.witness is not None


Instance = tuple[str, Any]  # as JSON, and parsed


def truth_of(change: Change) -> Truth:
    later, reads, model = _validator(change.after), _reader(change.before), change.before.model
    allowed = (each for each in _instances(change.before, change.after) if later.is_valid(each[1]))
    unread = next((each for each in allowed if not reads(each)), None)
    if unread is None:
        return Truth(None, breaks_a_model=False)
    fails = model is not None and any(not _validates(model, text) for text, _ in (unread, *allowed))
    return Truth(unread[0], breaks_a_model=fails)


def unread(form: Form) -> str | None:
    """Why a form can't be judged: no instance of it is known, or its own readers can't read one of them."""
    validator, reads = _validator(form), _reader(form)
    allowed = [each for each in _instances(form, form) if validator.is_valid(each[1])]
    if allowed and all(map(reads, allowed)):
        return None
    return f"gate-matrix: {form.name}: {'its own reader fails' if allowed else 'no instance is known'}"


def _instances(one: Form, other: Form) -> Sequence[Instance]:
    return _instances_of(frozenset({json.dumps(one.schema), json.dumps(other.schema)}))


@lru_cache(maxsize=1)  # the next change is often the same one in the other direction
def _instances_of(schemas: frozenset[str]) -> Sequence[Instance]:
    roots = [json.loads(schema) for schema in sorted(schemas)]
    values = _values([(root["properties"][FIELD], root) for root in roots], depth=3)
    return [(json.dumps({FIELD: value}), {FIELD: value}) for value in values]


def _reader(form: Form) -> Callable[[Instance], bool]:
    earlier, model = Draft202012Validator(tolerant(form.schema), format_checker=FORMATS), form.model

    def reads(instance: Instance) -> bool:
        text, value = instance
        return bool(earlier.is_valid(value)) and (model is None or _validates(model, text))

    return reads


def _validator(form: Form) -> Draft202012Validator:
    return Draft202012Validator(form.schema, format_checker=FORMATS)


def _validates(model: TypeAdapter[Any], text: str) -> bool:
    try:
        model.validate_json(text)
    except ValidationError:
        return False
    return True


Side = tuple[Any, Schema]  # a schema, and the event's schema that has its definitions


def _values(sides: Sequence[Side], *, depth: int) -> list[Any]:
    """Values at the edges of what either schema says."""
    words = [(part, root) for schema, root in sides for part in subschemas(_resolved(schema, root))]
    words = [(part, root) for found, root in words for part in subschemas(_resolved(found, root))]
    values = [*_scalars([part for part, _ in words]), [], {}]
    if depth:
        values += [*_lists(words, depth), *_objects(words, depth)]
    return list({json.dumps(value): value for value in values}.values())


def _resolved(schema: Any, root: Schema) -> Any:
    while isinstance(schema, dict) and "$ref" in schema:
        beside = {word: meant for word, meant in schema.items() if word != "$ref"}
        target = definitions(root)[schema["$ref"].removeprefix(f"#/{DEFINITIONS}/")]
        schema = {"allOf": [target, beside]} if beside else target
    return schema


def _scalars(words: Iterable[Schema]) -> Iterator[Any]:
    yield from (None, True, False, *NUMBERS, *TEXTS)
    for schema in words:
        yield from schema.get("enum", ())
        yield from (schema["const"],) if "const" in schema else ()
        for word, meant in schema.items():
            if isinstance(meant, int | float) and not isinstance(meant, bool):
                if "Length" in word:
                    yield from ("x" * int(length) for length in (meant - 1, meant, meant + 1) if length >= 0)
                else:
                    yield from (meant - 1, meant - 0.5, meant, meant + 0.5, meant + 1, meant * 3)


def _lists(words: Sequence[Side], depth: int) -> Iterator[list[Any]]:
    sides = [(part[word], root) for part, root in words for word in ("items", "contains") if word in part]
    sides += [(item, root) for part, root in words for item in part.get("prefixItems", ())]
    inner = _values(sides, depth=depth - 1) if sides else [None, 1, "a", 0.5, {}]
    longest = 2 + max(
        (int(part[word]) for part, _ in words for word in ("minItems", "maxItems") if word in part), default=2
    )
    for value in inner:
        yield from ([value], [value, value], [1, value], [value, 1], [value, "a"], [value, 1, "a"], [value, 1, 2, "a"])
    yield from (list(range(length)) for length in range(longest + 1))
    yield from ([value] * length for value in (0, "a", 0.5) for length in range(longest + 1))


def _objects(words: Sequence[Side], depth: int) -> Iterator[dict[str, Any]]:
    fields: dict[str, list[Side]] = {}
    others: list[Side] = []
    for part, root in words:
        for name, schema in part.get("properties", {}).items():
            fields.setdefault(name, []).append((schema, root))
        for name in part.get("required", ()):
            fields.setdefault(name, [])
        kinds = [part.get("additionalProperties"), *part.get("patternProperties", {}).values()]
        others += [(schema, root) for schema in kinds if isinstance(schema, dict)]
    of_others = _values(others, depth=depth - 1) if others else [None, 1, "a", 0.5]
    inner = {name: _values(sides, depth=depth - 1) if sides else of_others for name, sides in fields.items()}
    for name in NAMES:
        inner.setdefault(name, of_others if name not in fields else inner[name])
        yield from ({name: value} for value in inner[name])
    wholes = [dict(zip(names, values, strict=True)) for names in _subsets(list(fields) or list(NAMES[:3]))
              for values in _picks(names, fields, others, inner)]  # fmt: skip
    for whole in wholes:
        yield whole
        yield from ({**whole, name: value} for name in NAMES if name not in whole for value in (1, "a"))
    for whole in wholes[-FEW:]:
        yield from ({**whole, name: value} for name in fields for value in inner[name])


def _subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    few = names[:FEW]
    return (chosen for size in range(len(few) + 1) for chosen in combinations(few, size))


def _picks(
    names: Sequence[str], fields: dict[str, list[Side]], others: list[Side], inner: dict[str, list[Any]]
) -> Iterator[list[Any]]:
    """Values for these fields together that each of the two sides allows."""
    for side in range(2):
        yield [next(_allowed(inner[name], fields.get(name, others)[side : side + 1]), 1) for name in names]


def _allowed(values: Sequence[Any], sides: Sequence[Side]) -> Iterator[Any]:
    for value in values:
        if all(
            Draft202012Validator({"allOf": [schema], DEFINITIONS: definitions(root)}, format_checker=FORMATS).is_valid(
                value
            )
            for schema, root in sides
        ):
            yield value
