"""An AsyncAPI 3.1 document from the event models that a service publishes and consumes."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from chassis.events import ConsumedEvent, Event

AnyEvent = type[Event] | type[ConsumedEvent]

HEADERS: dict[str, Any] = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_sequence"],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string"},
        "ce_source": {"type": "string"},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_subject": {"type": "string"},
        "ce_sequence": {"type": "string", "pattern": "^[0-9]+$"},
        "traceparent": {"type": "string"},
        "content-type": {"type": "string", "const": "application/json"},
    },
}


def document(
    *, title: str, version: str, published: Iterable[type[Event]], consumed: Iterable[type[ConsumedEvent]]
) -> dict[str, Any]:
    """A channel a topic, a message an event, an operation a direction and topic."""
    sent, received = list(published), list(consumed)
    events: list[AnyEvent] = [*sent, *received]
    _, schemas = models_json_schema(
        [*((model, "serialization") for model in sent), *((model, "validation") for model in received)],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "asyncapi": "3.1.0",
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
        "channels": {topic: _channel(topic, events) for topic in sorted({event.topic for event in events})},
        "operations": {**_operations("send", sent), **_operations("receive", received)},
        "components": {
            "messages": {event.type: _message(event) for event in events},
            "schemas": schemas.get("$defs", {}),
        },
    }


def _channel(topic: str, events: Iterable[AnyEvent]) -> dict[str, Any]:
    messages = {event.type: {"$ref": f"#/components/messages/{event.type}"} for event in events if event.topic == topic}
    return {"address": topic, "messages": messages}


def _operations(action: str, events: Iterable[AnyEvent]) -> Mapping[str, Any]:
    operations: dict[str, Any] = {}
    for event in events:
        operation = operations.setdefault(
            f"{action}_{event.topic}",
            {"action": action, "channel": {"$ref": f"#/channels/{event.topic}"}, "messages": []},
        )
        operation["messages"].append({"$ref": f"#/channels/{event.topic}/messages/{event.type}"})
    return operations


def _message(event: AnyEvent) -> dict[str, Any]:
    properties = {**HEADERS["properties"], "ce_type": {"type": "string", "const": event.type}}
    return {
        "name": event.type,
        "contentType": "application/json",
        "headers": {**HEADERS, "properties": properties},
        "payload": {"$ref": f"#/components/schemas/{event.__name__}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": f"equals {event.key_field}"}}},
    }
