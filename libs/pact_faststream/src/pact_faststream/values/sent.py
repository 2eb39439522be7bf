"""The provider's half: whether the values that were asked for are the values that were sent."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python


def new_parameters(variant: Mapping[str, Any]) -> dict[str, Any]:
    """A variant's parameters as a consumer would ask for them, in JSON; a function is called for a new value."""
    made: dict[str, Any] = to_jsonable_python(dict(variant), fallback=lambda function: function())
    return made


def read_of(parameters: Any, read: Any) -> Any:
    """The parameters that a reader reads: those that are in `read`, too."""
    if isinstance(parameters, dict) and isinstance(read, dict):
        return {name: read_of(value, read[name]) for name, value in parameters.items() if name in read}
    return parameters


def merged(parameters: Any, others: Any) -> Any:
    """What two readers read, where Pact doesn't say which of them asks."""
    if isinstance(parameters, dict) and isinstance(others, dict):
        return {name: merged(parameters.get(name), others.get(name)) for name in {**parameters, **others}}
    return parameters if others is None else others


def differences(asked: Any, sent: Any, path: str = "$") -> Iterator[str]:
    """Where a message is not as asked, each as a line for a person."""
    match asked, sent:
        case dict(), dict():
            for name, value in asked.items():
                yield from differences(value, sent.get(name), f"{path}.{name}")
        case list(), list() if len(asked) == len(sent):
            for number, (value, found) in enumerate(zip(asked, sent, strict=True)):
                yield from differences(value, found, f"{path}[{number}]")
        case _ if not _are_equal(asked, sent):
            yield f"{path}: asked for {asked!r}, and {sent!r} was sent"


def _are_equal(asked: Any, sent: Any) -> bool:
    if type(asked) is not type(sent):
        return False
    return bool(asked == sent) or (isinstance(asked, str) and any(_agree(kind, asked, sent) for kind in _KINDS))


def _agree(kind: Any, asked: str, sent: str) -> bool:
    try:
        return bool(kind(asked) == kind(sent))
    except (ValueError, TypeError):
        return False


_KINDS = (UUID, datetime.fromisoformat)
"""What can be written in several ways that readers take for the same."""
