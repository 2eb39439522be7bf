"""Outbox, inbox, tasks and dead letters for FastStream and SQLAlchemy.

`Outbox`, `Inbox`, `Tasks` and `DeadLetters` are for a project that exists. Each name is imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outboxed.joining import DeadLetters, Inbox, Outbox, Tasks

__all__ = ["DeadLetters", "Inbox", "Outbox", "Tasks"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from outboxed import joining  # noqa: PLC0415 - a service needs none of it

        return getattr(joining, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
