"""Log lines of what runs in anybody's process: by its structlog where it has set that up, else by `logging`."""

import logging
from typing import Any, Literal

from outboxed._extras import loaded

_standard = logging.getLogger("outboxed")

Level = Literal["warning", "error", "critical"]


def get_logger() -> "Log":
    """The logger of a module."""
    return Log()


class Log:
    """Says an event's name and its fields."""

    def warning(self, event: str, **fields: Any) -> None:
        _say("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        _say("error", event, fields)

    def critical(self, event: str, **fields: Any) -> None:
        _say("critical", event, fields)


def _say(level: Level, event: str, fields: dict[str, Any]) -> None:
    structlog: Any = loaded("structlog")
    if structlog is not None and structlog.is_configured():
        getattr(structlog.get_logger(), level)(event, **fields)
        return
    error = fields.pop("exc_info", None)
    text = " ".join([event, *(f"{name}={value!r}" for name, value in fields.items())])
    getattr(_standard, level)("%s", text, exc_info=error)
