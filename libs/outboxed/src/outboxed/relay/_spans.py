"""The spans of batches on their way to Kafka, where somebody records them.

The trace of an event goes with its row: what consumers continue is the span that wrote it, not the relay's. So a span
here is a CLIENT, by the conventions, with links to those that wrote the rows.
"""

from time import time_ns
from typing import TYPE_CHECKING

from outboxed import _conventions as names
from outboxed._traceparent import context_of
from outboxed._tracing import fail, tracer
from outboxed.relay._row import WireRecord

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

MOST_LINKS = 128
"""OpenTelemetry's own limit for a span."""


class Sending:
    """Gathers what the span of a batch says of its records."""

    def __init__(self, recorder: "Tracer") -> None:
        self._recorder = recorder
        self._began = time_ns()
        self._traceparents: dict[bytes | None, None] = {}
        self._ids: list[bytes] = []

    @classmethod
    def begun(cls) -> "Sending | None":
        """None where nobody records spans."""
        recorder = tracer()
        return None if recorder is None else cls(recorder)

    def has(self, record: WireRecord) -> None:
        """A record is in the batch."""
        traceparent = None
        for name, value in record.headers:
            if name == "traceparent":
                traceparent = value
            elif name == "ce_id" and not self._ids:
                self._ids.append(value)
        self._traceparents[traceparent] = None

    def span(self, topic: str, partition: int, records: int) -> "SentSpan":
        """Begin the span. If all rows were written in one span, it belongs to that one's trace; else it has its own."""
        from opentelemetry.context import Context  # noqa: PLC0415 - whoever records spans has it
        from opentelemetry.trace import Link, SpanKind, get_current_span  # noqa: PLC0415

        known = [each.decode() for each in self._traceparents if each is not None]
        causes = [context_of(each) for each in known[:MOST_LINKS]]
        links = [Link(of) for cause in causes if (of := get_current_span(cause).get_span_context()).is_valid]
        attributes: dict[str, str | int] = {
            names.MESSAGING_SYSTEM: "kafka",
            names.OPERATION_NAME: "send",
            names.OPERATION_TYPE: "send",
            names.DESTINATION: topic,
            names.PARTITION: str(partition),
        }
        if records > 1:
            attributes[names.MESSAGE_COUNT] = records
        elif self._ids:
            attributes[names.MESSAGE_ID] = self._ids[0].decode()
        span = self._recorder.start_span(
            f"send {topic}",
            context=causes[0] if len(causes) == len(self._traceparents) == 1 else Context(),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            links=links,
            start_time=self._began,
        )
        return SentSpan(span, records)


class SentSpan:
    """The span of a batch that waits for Kafka's answer."""

    def __init__(self, span: "Span", records: int) -> None:
        self._span = span
        self._records = records

    def end(self, error: BaseException | str | None, offset: int | None = None) -> None:
        """With Kafka's answer: an error, or the offset of the first record."""
        if error is not None:
            fail(self._span, error)
        elif offset is not None and self._records == 1:
            self._span.set_attribute(names.KAFKA_OFFSET, offset)
        self._span.end()
