"""Structured logs: one JSON object a line on standard output, with trace ids where there are any."""

import logging
import sys
from typing import TextIO

import structlog

_LIBRARIES = dict.fromkeys(("aiokafka", "alembic", "faststream", "httpx", "uvicorn"), logging.WARNING)


class _Lines:
    """Writes structlog's lines where a handler writes those of the standard library.

    So none of them needs a `LogRecord`. What can't be written is the handler's affair, as ever:
    it says so on standard error, and whoever wanted to log goes on.
    """

    def __init__(self, handler: "logging.StreamHandler[TextIO]") -> None:
        self._handler = handler

    def msg(self, line: str) -> None:
        self._handler.acquire()
        try:
            self._handler.stream.write(f"{line}\n")
            self._handler.flush()
        except Exception:  # noqa: BLE001 - as logging does
            self._handler.handleError(logging.makeLogRecord({"msg": line}))
        finally:
            self._handler.release()

    debug = info = warning = error = critical = exception = msg


def configure_logs(*, service: str, level: str) -> None:
    """Write structlog's and the standard library's records by one JSON renderer, a line each."""

    def add_service(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"service": service, **event}

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
    ]
    rendered: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str),
    ]
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(allow=())],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=lambda *_: _Lines(handler),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name, library_level in _LIBRARIES.items():
        library = logging.getLogger(name)
        library.setLevel(max(library_level, root.level))
        library.handlers, library.propagate = [], True  # FastStream writes coloured lines of its own
