"""Traces: one trace follows a request through HTTP, the outbox, Kafka and the tasks, as W3C `traceparent`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from outboxed._extras import extra
from outboxed._traceparent import current_traceparent

with extra("telemetry", of="outboxed.telemetry"):
    import structlog
    from opentelemetry import context as contexts
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = [
    "Trace",
    "add_log_fields",
    "continued_trace",
    "current_trace",
    "current_trace_id",
    "current_traceparent",
    "outgoing_call",
    "set_outcome",
    "tracer_provider",
]

tracer_provider = TracerProvider()
"""Add a span processor here to export spans; without one, spans show only in logs and headers."""

_propagator = TraceContextTextMapPropagator()
_tracer = tracer_provider.get_tracer("outboxed")


def current_trace_id() -> str | None:
    """The running trace's id, 32 hex digits; None outside any span."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


@contextmanager
def continued_trace(name: str, traceparent: str | None, **log_fields: object) -> Iterator[None]:
    """Run a block as a child span of `traceparent`, else in a new trace; span and log lines have the ids and fields.

    The current span is never the parent: tasks and requests inherit contexts that did not cause them.
    """
    carrier = {"traceparent": traceparent} if traceparent else {}
    parent = _propagator.extract(carrier, context=Context())
    attributes = {field: str(value) for field, value in log_fields.items()}
    with (
        _tracer.start_as_current_span(name, context=parent, attributes=attributes) as span,
        structlog.contextvars.bound_contextvars(**_ids(span, parent), **log_fields),
    ):
        yield


@contextmanager
def outgoing_call(to: str, name: str) -> Iterator[None]:
    """Run a call to the outside, such as `POST /v1/charges` to the `payment gateway`, as a span of what runs."""
    with _tracer.start_as_current_span(
        name, kind=trace.SpanKind.CLIENT, attributes={"called": to}, record_exception=False
    ):
        yield


@dataclass(frozen=True)
class Trace:
    """A running span and the fields of its log lines, for work that somebody else does for it."""

    span: Context
    log_fields: Mapping[str, Any]

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Run a block within the span."""
        token = contexts.attach(self.span)
        try:
            with structlog.contextvars.bound_contextvars(**self.log_fields):
                yield
        finally:
            contexts.detach(token)


def current_trace() -> Trace:
    """What runs now."""
    return Trace(contexts.get_current(), structlog.contextvars.get_contextvars())


def _ids(span: trace.Span, parent: Context) -> dict[str, str]:
    """The trace fields of a log line, named as in OpenTelemetry's log correlation."""
    context, above = span.get_span_context(), trace.get_current_span(parent).get_span_context()
    ids = {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}
    return {**ids, "parent_span_id": trace.format_span_id(above.span_id)} if above.is_valid else ids


def set_outcome(outcome: str) -> None:
    """Say on the running span how it ended, such as `201` or `postponed: no answer`."""
    trace.get_current_span().set_attribute("outcome", outcome)


def add_log_fields(**fields: object) -> None:
    """Put fields, such as the id of a new order, on all further log lines of the running request or task."""
    structlog.contextvars.bind_contextvars(**fields)
