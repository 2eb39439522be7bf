"""Traces: one trace follows an order through HTTP, the outbox, Kafka and the tasks, as W3C ``traceparent``."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
_tracer = TracerProvider().get_tracer("chassis")


def current_traceparent() -> str | None:
    """The running span as a ``traceparent`` value; None outside any span."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def current_trace_id() -> str | None:
    """The running trace's id, 32 hex digits; None outside any span."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


@contextmanager
def continued_trace(name: str, traceparent: str | None, **log_fields: object) -> Iterator[None]:
    """Run a block as a child span of ``traceparent``, else in a new trace; its id and the fields are on every log line.

    Never a child of whatever happens to run: tasks and requests inherit contexts that are not their cause.
    """
    carrier = {"traceparent": traceparent} if traceparent else {}
    parent = _propagator.extract(carrier, context=Context())
    with (
        _tracer.start_as_current_span(name, context=parent),
        structlog.contextvars.bound_contextvars(trace_id=current_trace_id(), **log_fields),
    ):
        yield


def add_log_fields(**fields: object) -> None:
    """Put fields on every further log line of what runs now, such as the id of an order that was just placed."""
    structlog.contextvars.bind_contextvars(**fields)
