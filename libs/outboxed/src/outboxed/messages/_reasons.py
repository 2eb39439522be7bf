"""Why something failed, for logs and dead letters: without the values, which may be personal data."""

import traceback
from pathlib import Path
from typing import Any

from pydantic import ValidationError


def summary(error: ValidationError) -> str:
    """Where each problem is and what it is, never the value."""
    problems: list[Any] = error.errors(include_url=False, include_input=False, include_context=False)
    first = problems[0]
    place = ".".join(str(part) for part in first["loc"]) or "the value"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{place}: {first['msg']}{more}"


def reason_of(error: BaseException) -> str:
    """The error's type and message. It never fails: what it's told for, such as a dead letter, must not be lost."""
    return f"{type(error).__name__}: {summary(error) if isinstance(error, ValidationError) else _text(error)}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failed:  # noqa: BLE001 - a project's own `__str__` may fail by anything
        return f"its text can't be read: {type(failed).__name__}"


def raised_at(error: BaseException) -> str:
    """The file and line that raised the error, such as ` (handlers.py:42)`; empty if it was never raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
