"""The running span of whoever uses OpenTelemetry in this process, as W3C `traceparent`."""

from functools import cache
from typing import Any

from outboxed._extras import loaded


def current_traceparent() -> str | None:
    """The running span; None outside any span, and where nobody has imported OpenTelemetry."""
    if loaded("opentelemetry.trace") is None:
        return None
    carrier: dict[str, str] = {}
    _propagator().inject(carrier)
    return carrier.get("traceparent")


@cache
def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - see above
        TraceContextTextMapPropagator,
    )

    return TraceContextTextMapPropagator()
