"""W3C `traceparent` for whoever uses OpenTelemetry in this process: the running span as one, and one as a context."""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from outboxed._extras import loaded

if TYPE_CHECKING:
    from opentelemetry.context import Context

_USUAL = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
"""What everybody sends today, read here for each event. OpenTelemetry reads all others; it takes longer."""


def current_traceparent() -> str | None:
    """The running span; None outside any span, and where nobody has imported OpenTelemetry."""
    if loaded("opentelemetry.trace") is None:
        return None
    carrier: dict[str, str] = {}
    _propagator().inject(carrier)
    return carrier.get("traceparent")


def context_of(traceparent: str) -> "Context":
    """The context of a span elsewhere; without a span if the text can't be read. Needs OpenTelemetry."""
    from opentelemetry import context, trace  # noqa: PLC0415 - whoever asks has it

    usual = _USUAL.fullmatch(traceparent)
    if usual is None:
        found: Context = _propagator().extract({"traceparent": traceparent}, context=context.Context())
        return found
    trace_id, span_id, flags = (int(part, 16) for part in usual.groups())
    span = trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags))
    nothing = context.Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(span), nothing) if span.is_valid else nothing


@cache
def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - see above
        TraceContextTextMapPropagator,
    )

    return TraceContextTextMapPropagator()
