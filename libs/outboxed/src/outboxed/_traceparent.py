"""W3C `traceparent` for whoever uses OpenTelemetry in this process: the running span as one, and one as a context."""

from functools import cache
from typing import TYPE_CHECKING, Any

from outboxed._extras import loaded

if TYPE_CHECKING:
    from opentelemetry.context import Context


def current_traceparent() -> str | None:
    """The running span; None outside any span, and where nobody has imported OpenTelemetry."""
    if loaded("opentelemetry.trace") is None:
        return None
    carrier: dict[str, str] = {}
    _propagator().inject(carrier)
    return carrier.get("traceparent")


def context_of(traceparent: str) -> "Context":
    """The context of a span elsewhere; without a span if the text can't be read. Needs OpenTelemetry."""
    from opentelemetry.context import Context  # noqa: PLC0415 - whoever asks has it

    found: Context = _propagator().extract({"traceparent": traceparent}, context=Context())
    return found


@cache
def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - see above
        TraceContextTextMapPropagator,
    )

    return TraceContextTextMapPropagator()
