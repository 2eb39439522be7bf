"""The trace in which an event is published, where OpenTelemetry is installed."""

from importlib.util import find_spec


def current_traceparent() -> str | None:
    """The running span as a `traceparent` value; None outside any span, and without OpenTelemetry."""
    if find_spec("opentelemetry") is None:
        return None
    from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415 - not every project has it

    carrier: dict[str, str] = {}
    tracecontext.TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")
