"""Matching rules from a reader's own model: what the reader needs, not what the example has by chance."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pact_faststream.records import Model

FORMATS = {
    "uuid": r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    "date-time": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$",
    "date": r"^\d{4}-\d{2}-\d{2}$",
}
TYPE = {"match": "type"}
NULL = {"match": "null"}

Rule = dict[str, Any]
Schema = Mapping[str, Any]


def body_rules(model: type[Model]) -> dict[str, Rule]:
    """Rules by JSON path, for `with_matching_rules`; from the model's JSON schema.

    Raises NotImplementedError for a shape that Pact has no rule for, such as a union of several types.
    """
    schema = model.model_json_schema()
    return dict(_rules("$", schema, schema.get("$defs", {})))


def schema_of(schema: Schema, definitions: Schema, *, null: bool) -> Schema:
    """A schema without references, and without its null unless `null`."""
    schema = _referred(schema, definitions)
    others = [option for option in schema.get("anyOf", ()) if (option.get("type") == "null") is null]
    return schema_of(others[0], definitions, null=null) if len(others) == 1 else schema


def pattern_of(schema: Schema) -> str | None:
    """The regular expression of a string's form, if it has one."""
    return schema.get("pattern") or FORMATS.get(schema.get("format", ""))


def all_of(*matchers: Mapping[str, Any]) -> Rule:
    """A rule that a value keeps if it keeps all of these."""
    return {"combine": "AND", "matchers": list(matchers)}


def _rules(path: str, schema: Schema, definitions: Schema) -> Iterator[tuple[str, Rule]]:
    schema = _referred(schema, definitions)
    if "anyOf" in schema:
        yield from _nullable(path, schema["anyOf"], definitions)
        return
    if "const" in schema or "enum" in schema:
        yield path, all_of(_one_of(path, schema))
        return
    match schema.get("type"):
        case "object" if schema.get("properties"):
            for name, field in schema["properties"].items():
                yield from _rules(_below(path, name), field, definitions)
        case "array" if "items" in schema:
            yield path, all_of({"match": "type", "min": schema.get("minItems", 0)})
            yield from _rules(f"{path}[*]", schema["items"], definitions)
        case "string":
            yield path, all_of(TYPE, *_patterns(schema))
        case "integer":
            yield path, all_of({"match": "integer"})
        case "number":
            yield path, all_of({"match": "number"})
        case "boolean":
            yield path, all_of({"match": "boolean"})
        case other:
            raise NotImplementedError(
                f"{path}: no matching rule is known for the JSON schema type {other!r}; give the expectation `rules`"
            )


def _referred(schema: Schema, definitions: Schema) -> Schema:
    found: Schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _nullable(path: str, options: list[Any], definitions: Schema) -> Iterator[tuple[str, Rule]]:
    others = [option for option in options if option.get("type") != "null"]
    if len(others) != 1:
        raise NotImplementedError(
            f"{path}: a union of several types has no matching rule; give the expectation `rules`"
        )
    rules = dict(_rules(path, others[0], definitions))
    own = rules.pop(path, all_of(TYPE))  # rules of an object are those of its fields only
    if len(own["matchers"]) > 1:
        # Pact can't say "(string and pattern) or null"; the pattern is enough, because only strings match one
        own = all_of(*[matcher for matcher in own["matchers"] if matcher["match"] == "regex"])
    yield path, {"combine": "OR", "matchers": [*own["matchers"], NULL]}
    yield from rules.items()


def _patterns(schema: Schema) -> Iterator[dict[str, str]]:
    if pattern := pattern_of(schema):
        yield {"match": "regex", "regex": pattern}
    if "minLength" in schema or "maxLength" in schema:
        yield {"match": "regex", "regex": rf"^[\s\S]{{{schema.get('minLength', 0)},{schema.get('maxLength', '')}}}$"}


def _one_of(path: str, schema: Schema) -> dict[str, str]:
    values = schema.get("enum", [schema.get("const")])
    if not all(isinstance(value, str) for value in values):
        raise NotImplementedError(f"{path}: only enums of strings have a matching rule; give the expectation `rules`")
    return {"match": "regex", "regex": f"^({'|'.join(re.escape(value) for value in values)})$"}


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if name.isidentifier() else f"{path}['{name}']"
