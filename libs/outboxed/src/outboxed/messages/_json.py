"""JSON that strangers send: what a model ignores must not matter, and what is no JSON is refused.

pydantic's parser is fast and reads the whole text first. It refuses a lone surrogate, a number of more than 4,300
digits and a nesting of more than 200 even where the model doesn't look. It also takes `NaN` and `Infinity`, which
RFC 8259 doesn't know. Python's own parser reads what it refuses.
"""

import json
import sys
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from outboxed.messages._storable import LongNumber

NO_JSON = (b"NaN", b"Infinity")
M = TypeVar("M", bound=BaseModel)


class NotJSONError(ValueError):
    """A value is no JSON; the message says why, without the value."""


def validated(model: type[M], value: bytes) -> M:
    """Read a value as the model. Raises NotJSONError, ValidationError."""
    if not any(word in value for word in NO_JSON):
        try:
            return model.model_validate_json(value)
        except ValidationError as error:
            if error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid":
                raise
    return model.model_validate(_parsed(value))


def _parsed(value: bytes) -> Any:
    try:
        return json.loads(value.decode(), parse_int=_integer, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise NotJSONError(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise NotJSONError(f"byte {error.start} is no UTF-8") from None
    except RecursionError:
        raise NotJSONError("it is nested too deeply") from None


def _integer(digits: str) -> int | LongNumber:
    return int(digits) if len(digits) <= sys.int_info.default_max_str_digits else LongNumber()


def _refuse(word: str) -> NoReturn:
    raise NotJSONError(f"{word} is no JSON")
