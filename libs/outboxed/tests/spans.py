"""Spans that a provider in memory records for a test."""

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
"""The span that what a test begins continues."""
Spans = InMemorySpanExporter


def recording(sampler: Any = None) -> tuple[TracerProvider, Spans]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def only(spans: Spans) -> ReadableSpan:
    [span] = spans.get_finished_spans()
    return span


def said(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
