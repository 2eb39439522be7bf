"""Structured logs: one JSON object a line on standard output, with trace ids where there are any."""

import logging
import sys

import structlog

_LIBRARIES = dict.fromkeys(("aiokafka", "alembic", "faststream", "httpx", "uvicorn"), logging.WARNING)


def configure_logs(*, service: str, level: str) -> None:
    """Send structlog's and the standard library's records through one JSON renderer."""

    def add_service(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"service": service, **event}

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(allow=())],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name, library_level in _LIBRARIES.items():
        library = logging.getLogger(name)
        library.setLevel(max(library_level, root.level))
        library.handlers, library.propagate = [], True  # FastStream writes coloured lines of its own
