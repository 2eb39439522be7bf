"""Checks values against the schemas of a document, with the jsonschema library."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend

from asyncapi_gate.reading import Document, Schema
from asyncapi_gate.schemas import OF_FIELDS, OF_LISTS, OF_ONE

FORMATS = FormatChecker()


def violations(value: Any, schema: Schema, document: Document, *, partial: bool = False) -> Iterator[str]:
    """How a JSON value breaks a schema, one line for each field, with the field's path.

    With `partial` the value may leave out fields, as a consumer's example does. Raises NotImplementedError for a format
    without a check, which the library would accept silently.
    """
    rooted = {"components": document.content.get("components", {}), "allOf": [schema]}  # where references start
    validator = _PARTIAL if partial else _WHOLE
    for error in sorted(
        validator(rooted, format_checker=FORMATS).iter_errors(value), key=lambda found: found.json_path
    ):
        yield f"{_path(error.absolute_path) or 'the value'}: {error.message}"


def fits(value: Any, schema: Any, document: Document) -> bool:
    """Whether a JSON value fits a schema; not if it has a format without a check, or an unreadable pattern."""
    try:
        return not any(violations(value, schema, document))
    except (NotImplementedError, re.error):
        return False


def tolerant(schema: Any) -> Any:
    """What a reader of a schema relies on: all that it says, except that there are no other fields.

    Alternatives of which one alone could fit because of their fields may fit side by side then. What stands under `not`
    and `if` stays as it is.
    """
    if not isinstance(schema, dict):
        return schema
    return dict(_tolerant_word(word, meant) for word, meant in schema.items())


def _tolerant_word(word: str, meant: Any) -> tuple[str, Any]:
    if word in {"additionalProperties", "unevaluatedProperties"}:
        return word, meant is False or tolerant(meant)
    if word in OF_FIELDS:
        return word, {name: tolerant(part) for name, part in meant.items()}
    if word in OF_LISTS:
        parts = [tolerant(part) for part in meant]
        return "anyOf" if word == "oneOf" and parts != meant else word, parts
    return word, tolerant(meant) if word in OF_ONE else meant


def _known_format(validator: Any, name: str, value: Any, schema: Schema) -> Iterable[ValidationError] | None:
    if name not in FORMATS.checkers:
        raise NotImplementedError(f"no check is known for the format {name!r}: register one with {__name__}.FORMATS")
    check: Callable[..., Iterable[ValidationError] | None] = Draft202012Validator.VALIDATORS["format"]
    return check(validator, name, value, schema)


_WHOLE = extend(Draft202012Validator, {"format": _known_format})
_PARTIAL = extend(_WHOLE, {"required": lambda *_: None})


def _path(parts: Iterable[str | int]) -> str:
    """A path such as `items[].quantity`."""
    return "".join("[]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")
