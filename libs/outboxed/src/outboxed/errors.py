"""Errors that cross a layer; each says whether trying again can help."""

from collections.abc import Mapping
from typing import Any


class TransientError(Exception):
    """The same call may succeed later: back off and try again.

    `retry_after` is the wait in seconds that the other side asked for, if any.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EventTooLargeError(ValueError):
    """An event's value is over `MAX_VALUE_BYTES`, or its key over `MAX_KEY_BYTES`; the event was not appended."""


class TaskConflictError(Exception):
    """A task was scheduled while another one, with other content, waits under the same kind and key."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"another task waits as {kind} {key}, with another payload or in another group")


class WrittenWhileReadingError(Exception):
    """A unit of work that was opened for reading has something to write; what was added or saved is not written."""


class UndecodableRecordError(Exception):
    """A record that can never be decoded; the message becomes the dead letter's reason."""


class ConfigurationError(Exception):
    """A setting is missing or wrong; the message names the variable and is for a person."""


class ConsumerHaltedError(Exception):
    """Too large a share of a type's events was refused within a minute: most likely a bad deploy."""


def message_of(problem: Mapping[str, Any]) -> str:
    """The message of one of pydantic's problems; for a validator of ours, without pydantic's prefix."""
    raised = problem.get("ctx", {}).get("error")
    return str(raised) if isinstance(raised, ValueError) else str(problem["msg"])
