"""Matching rules from a consumer's own model: what it needs, not what the example happens to hold."""

from collections.abc import Iterator, Mapping
from typing import Any

from chassis.events import ConsumedEvent

FORMATS = {
    "uuid": r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    "date-time": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$",
}
TYPE = {"match": "type"}
NULL = {"match": "null"}

Rule = dict[str, Any]


def body_rules(model: type[ConsumedEvent]) -> dict[str, Rule]:
    """Rules by JSON path, for ``with_matching_rules``; from the model's JSON schema."""
    schema = model.model_json_schema()
    return dict(_rules("$", schema, schema.get("$defs", {})))


def _rules(path: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[tuple[str, Rule]]:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        yield from _nullable(path, schema["anyOf"], definitions)
        return
    match schema.get("type"):
        case "object":
            for name, field in schema.get("properties", {}).items():
                yield from _rules(f"{path}.{name}", field, definitions)
        case "array":
            yield path, _all_of({"match": "type", "min": schema.get("minItems", 0)})
            yield from _rules(f"{path}[*]", schema["items"], definitions)
        case "string":
            yield path, _all_of(TYPE, *_patterns(schema))
        case "integer":
            yield path, _all_of({"match": "integer"})
        case "number":
            yield path, _all_of({"match": "number"})
        case "boolean":
            yield path, _all_of(TYPE)
        case other:
            raise NotImplementedError(f"{path}: no matching rule is known for the JSON schema type {other!r}")


def _nullable(path: str, options: list[Any], definitions: Mapping[str, Any]) -> Iterator[tuple[str, Rule]]:
    others = [option for option in options if option.get("type") != "null"]
    if len(others) != 1:
        raise NotImplementedError(f"{path}: a union of several types has no matching rule")
    for inner_path, rule in _rules(path, others[0], definitions):
        if inner_path == path:
            yield path, {"combine": "OR", "matchers": [*rule["matchers"], NULL]}
        else:
            yield inner_path, rule


def _patterns(schema: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    if "pattern" in schema:
        yield {"match": "regex", "regex": schema["pattern"]}
    if schema.get("format") in FORMATS:
        yield {"match": "regex", "regex": FORMATS[schema["format"]]}


def _all_of(*matchers: Mapping[str, Any]) -> Rule:
    return {"combine": "AND", "matchers": list(matchers)}
