"""A stand-in for a collector: it speaks OTLP over HTTP on loopback, and keeps each span."""

import gzip
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

PATH = "/v1/traces"
PROTOBUF = "application/x-protobuf"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it came over the wire; ids are hex digits, `parent` is empty for a root, `links` are trace and span."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    links: Sequence[tuple[str, str]]
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    scope: str
    schema_url: str
    is_error: bool
    message: str
    began: int
    ended: int
    events: Sequence[str] = ()

    @property
    def service(self) -> str:
        return str(self.resource.get("service.name", ""))


@dataclass
class Collector:
    """What came, and what couldn't be read."""

    spans: list[ReceivedSpan] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    url: str = ""

    @classmethod
    @contextmanager
    def listening(cls) -> Iterator["Collector"]:
        """Listen on a free port until the end of the block."""
        collector = cls()
        server = ThreadingHTTPServer((LOOPBACK, 0), _handler(collector))
        server.daemon_threads = True
        collector.url = f"http://{LOOPBACK}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def take(self, body: bytes) -> None:
        """Keep the spans of a request. Raises DecodeError."""
        request = ExportTraceServiceRequest.FromString(body)
        self.spans += [
            _received(span, resource=_plain(of_service.resource.attributes), scope=of_scope.scope.name, url=url)
            for of_service in request.resource_spans
            for of_scope in of_service.scope_spans
            for url in [of_scope.schema_url]
            for span in of_scope.spans
        ]


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                if self.path != PATH or self.headers["Content-Type"] != PROTOBUF:
                    raise DecodeError(f"{self.path} with {self.headers['Content-Type']}")  # noqa: TRY301
                collector.take(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            except (DecodeError, OSError, EOFError) as error:
                collector.refused.append(str(error))
                self._answer(400, b"")
            else:
                self._answer(200, ExportTraceServiceResponse().SerializeToString())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", PROTOBUF)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has there
            """Say nothing: each export would be a line."""

    return Handler


def _received(span: Span, *, resource: Mapping[str, Any], scope: str, url: str) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        attributes=_plain(span.attributes),
        resource=resource,
        scope=scope,
        schema_url=url,
        is_error=span.status.code == Status.STATUS_CODE_ERROR,
        message=span.status.message,
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        events=[event.name for event in span.events],
    )


def _plain(pairs: Sequence[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return None if kind is None else getattr(value, kind)
