"""Traces: one trace follows a request through HTTP, the outbox, Kafka and the tasks, as W3C `traceparent`.

Spans go to the provider that the process has set (`opentelemetry.trace.set_tracer_provider`). Where nobody has set
one, a span is only its ids, for logs and headers. SpanAttributes follow the semantic conventions: see `_conventions`.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from outboxed import _conventions as names
from outboxed._extras import extra
from outboxed._traceparent import context_of, current_traceparent
from outboxed._tracing import fail, tracer

with extra("telemetry", of="outboxed.telemetry"):
    import structlog
    from opentelemetry import context as contexts
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind

__all__ = [
    "Exemplar",
    "HttpCall",
    "SpanKind",
    "Trace",
    "add_log_fields",
    "continued_trace",
    "current_trace",
    "current_trace_id",
    "current_traceparent",
    "exemplar",
    "http_call",
    "outgoing_call",
    "set_attributes",
    "set_failure",
]

SpanAttributes = Mapping[str, str | int]
Exemplar = dict[str, str] | None
"""A span as the labels of an exemplar; None for one that is exported nowhere: nobody could look it up."""
FAILED_STATUS = 400
"""Of a call. A request that is answered fails from SERVER_FAILED on. Source: semantic conventions, HTTP spans."""
SERVER_FAILED = 500

_NOTHING = Context()


def current_trace_id() -> str | None:
    """The running trace's id, 32 hex digits; None outside any span."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def exemplar() -> Exemplar:
    """The running span, if it's recorded and sampled. What is recorded alone is for span processors, not exporters."""
    span = trace.get_current_span()
    context = span.get_span_context()
    return _labels(context) if span.is_recording() and context.trace_flags.sampled else None


def continued_trace(
    name: str,
    traceparent: str | None,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Callable[[], SpanAttributes] | None = dict,
    /,
    **log_fields: object,
) -> AbstractContextManager[None]:
    """Run a block as a child span of `traceparent`, else in a new trace; log lines in it have the ids and fields.

    The current span is never the parent: tasks and requests inherit contexts that did not cause them. `attributes` is
    called if somebody records spans; with None nobody does, and the span has its ids all the same. An error that leaves
    the block is the span's, and so is a cancellation.
    """
    parent = context_of(traceparent) if traceparent else _NOTHING
    above = trace.get_current_span(parent).get_span_context()
    span = _begun(name, parent, above, kind, attributes)
    fields: dict[str, object] = {**_labels(span.get_span_context())}
    if above.is_valid:
        fields["parent_span_id"] = trace.format_span_id(above.span_id)
    fields.update(log_fields)
    return _Running(span, fields)


def outgoing_call(to: str, name: str, attributes: Callable[[], SpanAttributes] = dict) -> AbstractContextManager[None]:
    """Run a call to the outside, such as `send e-mail` to the `mail server`, as a span of what runs."""
    above = trace.get_current_span().get_span_context()
    span = _begun(name, contexts.get_current(), above, SpanKind.CLIENT, lambda: {names.PEER: to, **attributes()})
    return _Running(span, {})


@dataclass(frozen=True)
class HttpCall:
    """A call over HTTP while it runs; `headers` pass the trace on."""

    headers: Mapping[str, str]

    def answered(self, status: int) -> None:
        """Say how it was answered; from 400 on the call has failed."""
        set_attributes({names.HTTP_STATUS: status})
        if status >= FAILED_STATUS:
            set_failure(str(status))


@contextmanager
def http_call(to: str, method: str, url: str, *, template: str) -> Iterator[HttpCall]:
    """Run a call over HTTP to a service such as the `payment gateway`, as a span of what runs.

    `template` is the URL's path without ids, such as `/v1/charges/{id}`. Names and passwords in the URL aren't
    recorded, nor are the values of its query.
    """
    with outgoing_call(to, f"{method} {template}", lambda: _of_call(method, url, template)):
        traceparent = current_traceparent()
        yield HttpCall({"traceparent": traceparent} if traceparent else {})


def _of_call(method: str, url: str, template: str) -> SpanAttributes:
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query=_names_of(parts.query))
    return {
        names.HTTP_METHOD: method,
        names.SERVER_ADDRESS: parts.hostname or "",
        names.SERVER_PORT: parts.port or (443 if parts.scheme == "https" else 80),
        names.URL_FULL: bare.geturl(),
        names.URL_TEMPLATE: template,
    }


def _names_of(query: str) -> str:
    """A query of our own without its values, which may be personal: the conventions' `REDACTED` stands for each."""
    return "&".join(f"{pair.partition('=')[0]}=REDACTED" for pair in query.split("&")) if query else ""


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
            with _log_fields(self.log_fields):
                yield
        finally:
            contexts.detach(token)


def current_trace() -> Trace:
    """What runs now."""
    return Trace(contexts.get_current(), structlog.contextvars.get_contextvars())


def set_attributes(attributes: SpanAttributes, *, name: str | None = None) -> None:
    """Say on the running span what was not known when it began; with `name` it gets another one."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes(attributes)
        if name is not None:
            span.update_name(name)


def set_failure(error: BaseException | str, description: str | None = None) -> None:
    """Say that what runs has failed: by an error, or with a code such as `503`.

    The description is the error's reason unless given, and repeats no data of an event or a row.
    """
    fail(trace.get_current_span(), error, description)


def add_log_fields(**fields: object) -> None:
    """Put fields, such as the id of a new order, on all further log lines of the running request or task."""
    structlog.contextvars.bind_contextvars(**fields)


def _begun(
    name: str, parent: Context, above: SpanContext, kind: SpanKind, attributes: Callable[[], SpanAttributes] | None
) -> Span:
    """A span that is recorded, or only its ids, if nobody records."""
    if attributes is not None and (recorder := tracer()) is not None:
        return recorder.start_span(name, context=parent, kind=kind, attributes=attributes())
    return NonRecordingSpan(
        SpanContext(
            above.trace_id if above.is_valid else _random_id(128),
            _random_id(64),
            is_remote=False,
            trace_flags=above.trace_flags,  # of a new trace: not sampled, which is true
            trace_state=above.trace_state,
        )
    )


def _random_id(bits: int) -> int:
    return random.getrandbits(bits) or 1


class _Running(AbstractContextManager[None]):
    """Like OpenTelemetry's use_span, which would record an error's text and traceback, perhaps with personal data.

    It is entered for each event and each call: a class, because generators take longer.
    """

    __slots__ = ("_before", "_fields", "_span", "_token")

    def __init__(self, span: Span, fields: Mapping[str, Any]) -> None:
        self._span = span
        self._fields = fields

    def __enter__(self) -> None:
        self._token = contexts.attach(trace.set_span_in_context(self._span))
        self._before = structlog.contextvars.bind_contextvars(**self._fields)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            _take_back(self._before)
            if error is not None:  # also what is cancelled has failed, by the conventions
                fail(self._span, error)
        finally:
            contexts.detach(self._token)
            self._span.end()


@contextmanager
def _log_fields(fields: Mapping[str, Any]) -> Iterator[None]:
    """As structlog's bound_contextvars, which looks through all variables of the context each time."""
    before = structlog.contextvars.bind_contextvars(**fields)
    try:
        yield
    finally:
        _take_back(before)


def _take_back(before: Mapping[str, Any]) -> None:
    """A block that a thread began and another one ends has nothing to take back: its fields are in a copy."""
    with suppress(ValueError):
        structlog.contextvars.reset_contextvars(**before)


def _labels(context: SpanContext) -> dict[str, str]:
    """The ids as fields of a log line, named as in OpenTelemetry's log correlation."""
    return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}
