"""What the semantic conventions ask of a span, in the version that outboxed names.

Names and values are those of the package `opentelemetry-semantic-conventions`, and what 1.45.0 has renamed since: the
package has no version of it yet. What is required of which span stands in the conventions' text alone, so it stands
here too, with the page.
"""

import ast
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from opentelemetry.semconv._incubating.attributes.messaging_attributes import (
    MessagingOperationTypeValues,
    MessagingSystemValues,
)
from opentelemetry.semconv.attributes.http_attributes import HttpRequestMethodValues

from tools.measuring.collector import ReceivedSpan

SCHEMA_URL = "https://opentelemetry.io/schemas/1.45.0"
SCOPE, OWN = "outboxed", "outboxed."
PACKAGES = ("opentelemetry.semconv.attributes", "opentelemetry.semconv._incubating.attributes")
WHOLE = {
    "http.response.status_code",
    "messaging.batch.message_count",
    "kafka.offset",
    "outboxed.dead_letter.id",
    "outboxed.task.attempts",
    "server.port",
}
"""Attributes that are whole numbers; all others of ours are texts."""
VALUES: Mapping[str, frozenset[str]] = {
    "messaging.system.name": frozenset(each.value for each in MessagingSystemValues),
    "messaging.operation.type": frozenset(each.value for each in MessagingOperationTypeValues),
    "http.request.method": frozenset({*(each.value for each in HttpRequestMethodValues), "QUERY"}),
}
OF_MESSAGING = {
    "messaging.system.name",
    "messaging.operation.name",
    "messaging.operation.type",
    "messaging.destination.name",
}
REQUIRED: Mapping[tuple[str, str], set[str]] = {
    # docs/http/http-spans.md
    ("http", "SERVER"): {"http.request.method", "url.path", "url.scheme", "http.response.status_code"},
    ("http", "CLIENT"): {"http.request.method", "server.address", "server.port", "url.full"},
    # docs/messaging/messaging-spans.md and kafka.md
    ("process", "CONSUMER"): {
        *OF_MESSAGING,
        "messaging.consumer.group.name",
        "messaging.destination.partition.id",
        "kafka.offset",
        "messaging.message.id",
    },
    ("settle", "CLIENT"): {
        *OF_MESSAGING,
        "messaging.consumer.group.name",
        "messaging.destination.partition.id",
        "kafka.offset",
        "error.type",
    },
    ("send", "CLIENT"): {*OF_MESSAGING, "messaging.destination.partition.id"},
    # ours
    ("task", "INTERNAL"): {f"outboxed.task.{part}" for part in ("kind", "key", "attempts", "outcome")},
    ("call", "CLIENT"): {"service.peer.name", "server.address", "server.port", "network.protocol.name"},
}
"""By what a span is, and by the kind that it must have."""
RENAMED = {
    "messaging.system": "messaging.system.name",
    "messaging.kafka.cluster.id": "kafka.cluster.id",
    "messaging.kafka.message.key": "kafka.message.key",
    "messaging.kafka.message.tombstone": "kafka.message.tombstone",
    "messaging.kafka.offset": "kafka.offset",
}
"""By 1.45.0, since the package's 1.44.0. A unit test fails when the package has these names itself."""
SERVER_FAILED, CLIENT_FAILED = 500, 400


@cache
def known_names() -> frozenset[str]:
    """The attributes of the conventions, without those that they have given up or renamed."""
    return names_of_the_package() - RENAMED.keys() | {*RENAMED.values()}


@cache
def names_of_the_package() -> frozenset[str]:
    """The attributes of its newest version, without those that it has given up."""
    found: set[str] = set()
    for package in PACKAGES:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            found |= _names_of(importlib.import_module(f"{package}.{module.name}"))
    return frozenset(found)


def _names_of(module: ModuleType) -> set[str]:
    """What a docstring says below a name is nowhere but in the source."""
    statements = ast.parse(Path(module.__file__ or "").read_text()).body
    given_up = set()
    for named, told in pairwise(statements):
        match named, told:
            case ast.AnnAssign(), ast.Expr(ast.Constant(str(text))) if text.strip().startswith("Deprecated: "):
                given_up.add(ast.unparse(named.target))
    return {value for name, value in vars(module).items() if name.isupper() and name not in given_up}


def deviations(span: ReceivedSpan) -> Iterator[str]:
    """What is wrong with one span by itself, each a sentence."""
    yield from _origin(span)
    yield from _attributes(span)
    what = _what(span)
    if (required := REQUIRED.get((what, span.kind))) is None:
        kinds = [kind for each, kind in REQUIRED if each == what]
        yield f"is {span.kind}, and must be {' or '.join(kinds)}" if kinds else "is nothing that the conventions know"
        return
    for name in sorted(required - span.attributes.keys()):
        yield f"lacks {name}"
    if span.name not in (names := _names(what, span)):
        yield f"must be called {' or '.join(map(repr, names))}"
    yield from _failure(what, span)


def _origin(span: ReceivedSpan) -> Iterator[str]:
    if (span.scope, span.schema_url) != (SCOPE, SCHEMA_URL):
        yield f"is of the scope {span.scope!r} and the schema {span.schema_url!r}, not of {SCOPE!r} and {SCHEMA_URL!r}"
    for name in ("service.name", "service.version", "telemetry.sdk.name"):
        if not span.resource.get(name):
            yield f"comes from a resource without {name}"
    if not 0 < span.began <= span.ended:
        yield "ends before it begins"
    if span.events:
        yield f"has events, which may hold what is personal: {', '.join(span.events)}"


def _attributes(span: ReceivedSpan) -> Iterator[str]:
    for name, value in span.attributes.items():
        if not name.startswith(OWN) and name not in known_names():
            yield f"has {name}, which is in no convention"
        if not isinstance(value, int if name in WHOLE else str):
            yield f"has {name} as {type(value).__name__}"
        elif name in VALUES and value not in VALUES[name]:
            yield f"has {name}={value!r}, which the conventions don't know"
    query = str(span.attributes.get("url.query", "")) + str(span.attributes.get("url.full", "")).partition("?")[2]
    if any(pair and not pair.endswith("=REDACTED") for pair in query.split("&")):
        yield "has the values of a query"


def _what(span: ReceivedSpan) -> str:
    if (operation := span.attributes.get("messaging.operation.type")) is not None:
        return str(operation)
    if "http.request.method" in span.attributes:
        return "http"
    return "task" if span.kind == "INTERNAL" else "call"


def _names(what: str, span: ReceivedSpan) -> list[str]:
    """The names that it may have, by docs/http/http-spans.md and docs/messaging/messaging-spans.md."""
    said = span.attributes
    if what == "http":
        method = "HTTP" if said["http.request.method"] == "_OTHER" else said["http.request.method"]
        target = said.get("http.route" if span.kind == "SERVER" else "url.template")
        return [f"{method} {target}" if target else method]
    if what in {"send", "process", "settle"}:
        return [f"{said.get('messaging.operation.name')} {said.get('messaging.destination.name')}"]
    return [str(said.get("outboxed.task.kind"))] if what == "task" else [span.name]


def _failure(what: str, span: ReceivedSpan) -> Iterator[str]:
    """docs/general/recording-errors.md, and for HTTP which statuses are failures."""
    if span.is_error != ("error.type" in span.attributes):
        yield "has failed without error.type" if span.is_error else "has error.type, and has not failed"
    status: Any = span.attributes.get("http.response.status_code")
    if what == "http" and isinstance(status, int):
        has_failed = status >= (SERVER_FAILED if span.kind == "SERVER" else CLIENT_FAILED)
        if has_failed != span.is_error:
            yield f"was answered with {status}, and has {'' if span.is_error else 'not '}failed"
    outcome = span.attributes.get("outboxed.task.outcome")
    if what == "task" and (outcome != "done") != span.is_error:
        yield f"ended as {outcome}, and has {'' if span.is_error else 'not '}failed"
