"""JSON values against a document's schemas: what is said, where, and that no format goes unchecked."""

from typing import Any

import pytest
from asyncapi_gate.reading import Document
from asyncapi_gate.validation import violations

LEAF = {"type": "object", "properties": {"inside": {"$ref": "#/components/schemas/Leaf"}}}
DOCUMENT = Document({"components": {"schemas": {"Leaf": {**LEAF, "additionalProperties": False}}}})


def found(value: Any, schema: Any, *, partial: bool = False) -> list[str]:
    return list(violations(value, schema, DOCUMENT, partial=partial))


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, 1, True),
        ({"format": "uuid"}, "0D2AD7DD-1d6c-4d39-9d5c-3a5a0f3d7f10", "0d2ad7dd1d6c4d399d5c3a5a0f3d7f10"),
        ({"format": "date-time"}, "2026-01-15T12:00:00.000000Z", "2026-01-15T12:00:00"),
        ({"format": "date-time"}, "2026-01-15T12:00:00+01:00", "2026-01-15 noon"),
        ({"format": "date"}, "2026-01-15", "2026-13-15"),
        ({"prefixItems": [{"type": "string"}, {"type": "integer"}]}, ["a", 1], [1, "a"]),
        ({"$ref": "#/components/schemas/Leaf"}, {"inside": {"inside": {}}}, {"inside": {"inside": 1}}),
        ({"allOf": [{"$ref": "#/components/schemas/Leaf"}], "deprecated": True}, {}, {"outside": {}}),
    ],
)
def test_a_value_is_held_to_its_schema(schema: Any, good: Any, bad: Any) -> None:
    assert found(good, schema) == []
    assert found(bad, schema)


def test_a_violation_says_where_and_what() -> None:
    schema = {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}}
        },
        "required": ["items", "at"],
        "additionalProperties": False,
    }

    assert found({"items": [{"n": 1}, {"n": "2"}], "note": ""}, schema) == [
        "the value: 'at' is a required property",
        "the value: Additional properties are not allowed ('note' was unexpected)",
        "items[].n: '2' is not of type 'integer'",
    ]


def test_a_partial_value_may_leave_out_fields_but_not_change_them() -> None:
    schema = {"properties": {"a": {"type": "integer"}}, "required": ["a", "b"]}

    assert found({}, schema, partial=True) == []
    assert found({"a": "1"}, schema, partial=True) == ["a: '1' is not of type 'integer'"]


def test_a_format_that_nobody_checks_is_an_error() -> None:
    with pytest.raises(NotImplementedError, match="no check is known for the format 'parcel-number'"):
        found("a", {"format": "parcel-number"})
