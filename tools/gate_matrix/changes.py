"""Changes of an event: each form of a family becomes each other form, so every keyword is tightened and loosened."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Annotated, Any, Literal
from uuid import UUID

from outboxed.messages import Timestamp
from pydantic import BaseModel, Field, TypeAdapter, WithJsonSchema, create_model

Schema = Mapping[str, Any]
FIELD = "it"
DEFINITIONS = "$defs"


@dataclass(frozen=True)
class Form:
    """One form of an event with the field `it`, as JSON Schema, and a model that reads it where pydantic has one."""

    name: str
    schema: Schema
    model: TypeAdapter[Any] | None = None


@dataclass(frozen=True)
class Change:
    family: str
    before: Form
    after: Form

    def __str__(self) -> str:
        return f"{self.family}: {self.before.name} became {self.after.name}"


def changes() -> list[Change]:
    """Each change is followed by the same one in the other direction."""
    return [
        Change(family, *pair)
        for family, forms in families().items()
        for both in combinations(forms, 2)
        for pair in (both, both[::-1])
    ]


def families() -> dict[str, list[Form]]:
    modelled = {family: [_of_annotation(each) for each in forms] for family, forms in ANNOTATIONS.items()}
    written = {family: [_of_schema(each) for each in forms] for family, forms in SCHEMAS.items()}
    inside = {
        f"{family}, {place}": [_inside(form, place) for form in modelled[family]] for place, family in DEEP.items()
    }
    return modelled | written | inside


def _of_annotation(annotation: Any) -> Form:
    adapter = TypeAdapter(create_model("Event", it=(annotation, ...)))
    schema = adapter.json_schema()
    return Form(_shown(schema["properties"][FIELD], schema.get(DEFINITIONS, {})), schema, adapter)


def _of_schema(schema: Any) -> Form:
    inner = (
        {word: meant for word, meant in schema.items() if word != DEFINITIONS} if isinstance(schema, dict) else schema
    )
    defined = schema.get(DEFINITIONS) if isinstance(schema, dict) else None
    event = {"type": "object", "properties": {FIELD: inner}, "required": [FIELD]}
    return Form(_shown(inner, defined or {}), event | ({DEFINITIONS: defined} if defined else {}))


def _inside(form: Form, place: str) -> Form:
    inner = PLACES[place](form.schema["properties"][FIELD])
    deep = {"type": "object", "properties": {FIELD: inner}, "required": [FIELD]}
    return Form(form.name, {**form.schema, **deep})


PLACES: Mapping[str, Callable[[Schema], Schema]] = {
    "in items": lambda inner: {"type": "array", "items": inner},
    "in a mapping": lambda inner: {"type": "object", "additionalProperties": inner},
    "in an optional part": lambda inner: {
        "anyOf": [{"type": "object", "properties": {"part": inner}, "required": ["part"]}, {"type": "null"}]
    },
}
DEEP = {"in items": "enum", "in a mapping": "minimum", "in an optional part": "nullable"}


def _shown(schema: Any, defined: Mapping[str, Any]) -> str:
    """A schema in a line, without titles."""
    return json.dumps(_untitled(placed(schema, defined))).replace('"', "")


def _untitled(node: Any) -> Any:
    if isinstance(node, list):
        return [_untitled(part) for part in node]
    if not isinstance(node, dict):
        return node
    return {word: _untitled(meant) for word, meant in node.items() if word != "title" or isinstance(meant, dict)}


def placed(node: Any, defined: Mapping[str, Any], around: tuple[str, ...] = ()) -> Any:
    """A schema with definitions in the place of references; the reference of a recursion stays."""
    if isinstance(node, list):
        return [placed(part, defined, around) for part in node]
    if not isinstance(node, dict):
        return node
    name = str(node.get("$ref", "")).removeprefix(f"#/{DEFINITIONS}/")
    if name in around:
        return node
    rest = {word: placed(meant, defined, around) for word, meant in node.items() if word not in {"$ref", DEFINITIONS}}
    return {**placed(defined[name], defined, (*around, name)), **rest} if name else rest


def _numbers(kind: Any, **bounds: Sequence[Any]) -> list[Any]:
    return [kind, *_bounded(kind, *({word: value} for word, values in bounds.items() for value in values))]


def _bounded(kind: Any, *bounds: Mapping[str, Any]) -> list[Any]:
    return [Annotated[kind, Field(**each)] for each in bounds]


class A(BaseModel):
    a: int


class B(BaseModel):
    b: int


class AFloat(BaseModel):
    a: float


class AOrNull(BaseModel):
    a: int | None


class AOptional(BaseModel):
    a: int = 0


class AText(BaseModel):
    a: str


class AB(BaseModel):
    a: int
    b: str


class ABOptional(BaseModel):
    a: int
    b: str = ""


class Nothing(BaseModel):
    pass


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]


class Bird(BaseModel):
    kind: Literal["bird"]


class Crate(BaseModel):
    weight: int
    inside: list["Crate"]


class Box(BaseModel):
    weight: int
    inside: list["Box"]


class HeavyCrate(BaseModel):
    weight: float
    inside: list["HeavyCrate"]


class FullCrate(BaseModel):
    weight: int
    inside: Annotated[list["FullCrate"], Field(max_length=1)]


Named = Annotated[str, Field(pattern="^[a-z]+$")]
Open = Annotated[str, WithJsonSchema({"type": "string", "x-extensible-enum": ["a"]})]

_NULLABLE_A = Annotated[Literal["a"] | None, WithJsonSchema({"enum": ["a", None]})]

ANNOTATIONS: Mapping[str, list[Any]] = {
    "type": [int, float, str, bool, None, list[int], dict[str, int], A],
    "nullable": [int, int | None, float | None, str | None, int | str, int | str | None],
    "minimum": _numbers(int, ge=[0, 1], gt=[0, 1]),
    "maximum": _numbers(int, le=[8, 9], lt=[9, 10]),
    "range": [Annotated[int, Field(ge=0, le=9)], Annotated[int, Field(gt=0, lt=9)], Annotated[int, Field(ge=1)],
              Annotated[int, Field(ge=-1, lt=10)]],
    "multipleOf": [*_numbers(int, multiple_of=[2, 4, 5]), *_numbers(float, multiple_of=[0.5])],
    "length": [str, *_bounded(str, {"min_length": 0}, {"min_length": 1}, {"min_length": 2}, {"max_length": 5},
                              {"min_length": 1, "max_length": 4})],
    "pattern": [str, *(Annotated[str, Field(pattern=pattern)] for pattern in ["^[A-Z]{3}$", "^[A-Z]+$", "^[a-z]+$"]),
                Literal["EUR"], Literal["EUR", "USD"], Literal["eur"]],
    "format": [str, UUID, Timestamp, date],
    "enum": [str, Literal["a"], Literal["b"], Literal["a", "b"], Literal["a", "b", "c"], Open],
    "nullable enum": [_NULLABLE_A, Literal["a"] | None, Literal["a"], Literal["a", "b"] | None, str | None],
    "enum of numbers": [int, float, Literal[1], Literal[1, 2], Literal[1, "1"], Literal[True]],
    "items": [list[int], list[float], list[Any], list[str], list[int | None], list[A], list[AB]],
    "size of a list": [list[int], *_bounded(list[int], {"min_length": 0}, {"min_length": 1}, {"min_length": 2},
                                            {"max_length": 3}, {"min_length": 1, "max_length": 3})],
    "tuple": [list[int], tuple[int], tuple[int, int], tuple[int, str], tuple[float, float]],
    "values of a mapping": [dict[str, int], dict[str, float], dict[str, Any], dict[str, str], dict[str, int | None],
                            dict[str, A], A],
    "size of a mapping": [dict[str, int], *_bounded(dict[str, int], {"min_length": 1}, {"min_length": 2},
                                                    {"max_length": 2})],
    "properties": [A, B, AFloat, AOrNull, AOptional, AText, AB, ABOptional, Nothing],
    "alternatives": [int | str, int | str | bool, str, A | AB, AB, list[int] | int, A | int],
    "discriminated": [Cat | Dog, Annotated[Cat | Dog, Field(discriminator="kind")], Cat,
                      Annotated[Cat | Dog | Bird, Field(discriminator="kind")]],
    "recursion": [Crate, Box, HeavyCrate, FullCrate],
    "words for people": [int, Annotated[int, Field(description="how many")], Annotated[int, Field(deprecated=True)],
                         Annotated[int, Field(examples=[3], json_schema_extra={"x-unit": "pieces"})]],
}  # fmt: skip
"""What pydantic can say: each annotation is a form, and its own model reads it."""

INTEGER, NUMBER, STRING, NULL = (dict[str, Any](type=name) for name in ("integer", "number", "string", "null"))
OF_A_B: Schema = {"type": "object", "properties": {"a": INTEGER, "b": INTEGER}}
LIST: Schema = {"type": "array"}
SCHEMAS: Mapping[str, list[Any]] = {
    "uniqueItems": [LIST, {**LIST, "uniqueItems": False}, {**LIST, "uniqueItems": True},
                    {**LIST, "uniqueItems": True, "maxItems": 1}],
    "no type": [{}, True, {"minimum": 1}, {"minLength": 1}, {"enum": ["a", 1]}, {"enum": ["a"]},
                {**STRING, "enum": ["a"]}, {**STRING, "minLength": 1}, {"required": ["a"]}],
    "list of types": [INTEGER, {"type": ["integer", "null"]}, {"type": ["integer", "string"]}, {"type": ["number"]},
                      {"type": ["integer", "string", "null"]}, {"type": ["integer", "null"], "minimum": 0}],
    "enum with null": [{"type": ["string", "null"], "enum": ["a", None]}, {"type": ["string", "null"], "enum": ["a"]},
                       {"type": ["string", "null"]}, {**STRING, "enum": ["a"]},
                       {"anyOf": [{"const": "a"}, NULL]}],
    "const": [{"const": 1}, {"const": 1.0}, {"const": True}, {"enum": [1, True]}, {"enum": [1, 2]},
              {"const": {"a": 1}}, {"const": {"a": 1.0}}],
    "exact bounds": [{**INTEGER, "minimum": 1}, {**INTEGER, "minimum": 1.0}, {**INTEGER, "minimum": 0.5},
                     {**INTEGER, "exclusiveMinimum": 0}, {**NUMBER, "exclusiveMinimum": 0}, {**NUMBER, "minimum": 1},
                     {**INTEGER, "enum": [1, 2]}],
    "allOf": [{**INTEGER, "minimum": 0, "maximum": 9}, {"allOf": [{**INTEGER, "minimum": 0}, {"maximum": 9}]},
              {**INTEGER, "allOf": [{"minimum": 1}, {"maximum": 8}]}, {"allOf": [INTEGER, {"maximum": 9}]},
              {"allOf": [{"enum": [1, 2, 20]}, {"maximum": 9}]}],
    "allOf of objects": [{**OF_A_B, "required": ["a", "b"]},
                         {"allOf": [{**OF_A_B, "required": ["a"]}, {"required": ["b"]}]},
                         {"allOf": [{"type": "object", "properties": {"a": INTEGER}, "required": ["a"]},
                                    {"type": "object", "properties": {"b": INTEGER}, "required": ["b"]}]},
                         {"allOf": [{"type": "object", "properties": {"a": NUMBER}, "required": ["a"]},
                                    {"type": "object", "properties": {"b": INTEGER}}]}],
    "anyOf beside others": [{"minimum": 5, "anyOf": [INTEGER, NULL]}, {"anyOf": [{**INTEGER, "minimum": 5}, NULL]},
                            {"minimum": 5, "anyOf": [{**INTEGER, "minimum": 0}, STRING]},
                            {"anyOf": [{**INTEGER, "minimum": 0}, STRING]},
                            {**OF_A_B, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
                            {**OF_A_B, "required": ["a"]}],
    "oneOf": [{"oneOf": [INTEGER, NUMBER]}, {"anyOf": [INTEGER, NUMBER]}, {"oneOf": [INTEGER, STRING]},
              {"anyOf": [INTEGER, STRING]}, {"oneOf": [{"minimum": 0}, {"maximum": 9}]},
              {"oneOf": [{"const": "a"}, {"const": "b"}]}, {**STRING, "enum": ["a", "b"]}],
    "not": [{}, {"not": STRING}, {"not": {"type": ["string", "null"]}}, INTEGER, {**INTEGER, "not": {"const": 0}},
            {**INTEGER, "minimum": 1}],
    "if": [OF_A_B, {**OF_A_B, "if": {"required": ["a"]}, "then": {"required": ["b"]}},
           {**OF_A_B, "if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}},
           {**OF_A_B, "if": {"required": ["b"]}, "then": {"required": ["b"]}}, {**OF_A_B, "required": ["a", "b"]}],
    "dependentRequired": [OF_A_B, {**OF_A_B, "dependentRequired": {"a": ["b"]}},
                          {**OF_A_B, "dependentRequired": {"a": ["b", "c"]}}, {**OF_A_B, "required": ["a", "b"]},
                          {**OF_A_B, "dependentRequired": {"a": []}}],
    "dependentSchemas": [OF_A_B, {**OF_A_B, "dependentSchemas": {"a": {"required": ["b"]}}},
                         {**OF_A_B, "dependentSchemas": {"a": {"required": ["b", "c"]}}}],
    "propertyNames": [{"type": "object"}, {"type": "object", "propertyNames": {"maxLength": 3}},
                      {"type": "object", "propertyNames": {"maxLength": 4}},
                      {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}},
                      {"type": "object", "propertyNames": {"enum": ["a", "b"]}}],
    "patternProperties": [{"type": "object"}, {"type": "object", "patternProperties": {"^x": INTEGER}},
                          {"type": "object", "patternProperties": {"^x": NUMBER}},
                          {"type": "object", "patternProperties": {"^x": INTEGER, "^y": STRING}},
                          {"type": "object", "additionalProperties": INTEGER},
                          {"type": "object", "additionalProperties": INTEGER, "patternProperties": {"^x": STRING}},
                          {"type": "object", "properties": {"x": STRING}},
                          {"type": "object", "properties": {"x": STRING}, "additionalProperties": False}],
    "additionalProperties": [OF_A_B, *({**OF_A_B, "additionalProperties": others} for others in
                             [True, False, INTEGER, NUMBER]),
                             {"type": "object", "properties": {"a": INTEGER}, "additionalProperties": False},
                             {"type": "object", "properties": {"a": INTEGER}, "additionalProperties": INTEGER}],
    "unevaluatedProperties": [OF_A_B, {**OF_A_B, "unevaluatedProperties": False},
                              {**OF_A_B, "unevaluatedProperties": INTEGER},
                              {**OF_A_B, "additionalProperties": INTEGER}],
    "required": [{"type": "object"}, {"type": "object", "required": []}, {"type": "object", "required": ["a"]},
                 {"type": "object", "required": ["a", "b"]}, {**OF_A_B, "required": ["a"]},
                 {**OF_A_B, "required": ["b", "a"]}, {**OF_A_B, "required": ["a"], "minProperties": 1}],
    "maxProperties": [{"type": "object"}, {**OF_A_B, "maxProperties": 2}, {**OF_A_B, "additionalProperties": False},
                      {**OF_A_B, "maxProperties": 1}],
    "prefixItems": [LIST, {**LIST, "items": INTEGER}, {**LIST, "prefixItems": [INTEGER]},
                    {**LIST, "prefixItems": [STRING], "items": INTEGER},
                    {**LIST, "prefixItems": [INTEGER], "items": INTEGER},
                    {**LIST, "prefixItems": [INTEGER, INTEGER], "items": False},
                    {**LIST, "items": INTEGER, "maxItems": 2},
                    {**LIST, "items": False}],
    "contains": [LIST, {**LIST, "contains": INTEGER}, {**LIST, "contains": NUMBER},
                 {**LIST, "contains": INTEGER, "minContains": 0}, {**LIST, "contains": INTEGER, "minContains": 2},
                 {**LIST, "contains": INTEGER, "maxContains": 2}, {**LIST, "items": INTEGER, "minItems": 1}],
    "other formats": [{**STRING, "format": name} for name in ("email", "ipv4", "ipv6", "date")] + [STRING],
    "reference": [{"$ref": "#/$defs/X", "$defs": {"X": INTEGER}}, {"$ref": "#/$defs/Y", "$defs": {"Y": INTEGER}},
                  {"allOf": [{"$ref": "#/$defs/X"}], "description": "x", "$defs": {"X": INTEGER}},
                  {"$ref": "#/$defs/X", "$defs": {"X": NUMBER}},
                  {"$ref": "#/$defs/X", "$defs": {"X": {"$ref": "#/$defs/Y"}, "Y": INTEGER}},
                  {"$ref": "#/$defs/X", "minimum": 0, "$defs": {"X": INTEGER}}],
}  # fmt: skip
"""What pydantic has no annotation for."""


def definitions(schema: Schema) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema.get(DEFINITIONS, {})
    return found


def subschemas(schema: Any) -> Iterator[Schema]:
    """The schema, and all that are written beside it for the same value."""
    if isinstance(schema, dict):
        yield schema
        parts = [part for word in ("allOf", "anyOf", "oneOf") for part in schema.get(word, [])]
        parts += [schema[word] for word in ("not", "if", "then", "else") if word in schema]
        for part in [*parts, *schema.get("dependentSchemas", {}).values()]:
            yield from subschemas(part)
