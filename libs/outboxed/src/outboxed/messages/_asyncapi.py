"""An AsyncAPI 3.1 document from the event models that a service publishes and consumes.

The document has everything that pydantic puts into a model's JSON schema, such as `Field(deprecated=True)` for a field
and `model_config = ConfigDict(json_schema_extra={"deprecated": True})` for a whole event.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.json_schema import models_json_schema

from outboxed.messages._events import ConsumedEvent, Event

AnyEvent = type[Event] | type[ConsumedEvent]

KEY_FIELD = "x-key-field"
"""An entry of a message's Kafka binding: the name of the payload field that equals the record's key."""

HEADERS: dict[str, Any] = {
    "type": "object",
    "required": [
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_time",
        "ce_subject",
        "ce_sequence",
        "content-type",
    ],
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


@dataclass(frozen=True)
class _Message:
    event: AnyEvent
    payload: Mapping[str, str]


def document(
    *, title: str, version: str, published: Iterable[type[Event]], consumed: Iterable[type[ConsumedEvent]]
) -> dict[str, Any]:
    """One channel for each topic, one message for each event, one operation for each direction of a topic.

    An event that the service both publishes and consumes is one message, with the schema of the published event.
    """
    sent, received = list(published), list(consumed)
    references, schemas = models_json_schema(
        [*((model, "serialization") for model in sent), *((model, "validation") for model in received)],
        ref_template="#/components/schemas/{model}",
    )
    messages = {event.type: _Message(event, references[event, "serialization"]) for event in sent}
    for event in received:
        messages.setdefault(event.type, _Message(event, references[event, "validation"]))
    topics = sorted({message.event.topic for message in messages.values()})
    return {
        "asyncapi": "3.1.0",
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
        "channels": {topic: _channel(topic, messages) for topic in topics},
        "operations": {**_operations("send", sent), **_operations("receive", received)},
        "components": {
            "messages": {name: _message(message) for name, message in messages.items()},
            "schemas": _with_lone_references(schemas.get("$defs", {})),
        },
    }


def _channel(topic: str, messages: Mapping[str, _Message]) -> dict[str, Any]:
    on_topic = [name for name, message in messages.items() if message.event.topic == topic]
    return {"address": topic, "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in on_topic}}


def _operations(action: str, events: Iterable[AnyEvent]) -> Mapping[str, Any]:
    operations: dict[str, Any] = {}
    for event in events:
        operation = operations.setdefault(
            f"{action}_{event.topic}",
            {"action": action, "channel": {"$ref": f"#/channels/{event.topic}"}, "messages": []},
        )
        operation["messages"].append({"$ref": f"#/channels/{event.topic}/messages/{event.type}"})
    return operations


def _message(message: _Message) -> dict[str, Any]:
    event = message.event
    properties = {**HEADERS["properties"], "ce_type": {"type": "string", "const": event.type}}
    key = {"type": "string", "description": f"equals {event.key_field}", KEY_FIELD: event.key_field}
    return {
        "name": event.type,
        "contentType": "application/json",
        "headers": {**HEADERS, "properties": properties},
        "payload": dict(message.payload),
        "bindings": {"kafka": {"key": key}},
    }


def _with_lone_references(node: Any) -> Any:
    """Put each `$ref` with siblings into an `allOf`: JSON Schema draft 7, as in AsyncAPI, ignores them."""
    if isinstance(node, list):
        return [_with_lone_references(item) for item in node]
    if not isinstance(node, dict):
        return node
    rest = {name: _with_lone_references(value) for name, value in node.items() if name != "$ref"}
    if "$ref" not in node:
        return rest
    reference = {"$ref": node["$ref"]}
    return {"allOf": [reference], **rest} if rest else reference
