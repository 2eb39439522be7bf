"""An AsyncAPI 3 document as its reader sees it: the messages that a service sends and receives, with their parts."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

Schema = Mapping[str, Any]

KEY_FIELD = "x-key-field"
"""An entry of a message's Kafka binding: the name of the payload field that equals the record's key."""


class UnreadableDocumentError(ValueError):
    """The document lacks what the gate reads (messages with topic, key and schema), or is no AsyncAPI at all."""


@dataclass(frozen=True)
class Message:
    """One type of event, with its address; `key_field` is the payload's field that the record's key equals."""

    type: str
    topic: str
    key_field: str
    headers: Schema
    payload: Schema
    is_deprecated: bool


@dataclass(frozen=True)
class Document:
    """A document; its parts are read on demand, once, and never copied.

    Every method raises UnreadableDocumentError if the document lacks a part that the method needs.
    """

    content: Mapping[str, Any]

    def check(self) -> None:
        """Read every part once."""
        _ = self.title, self.sent, self.received

    @property
    def title(self) -> str:
        """The name of the service."""
        title: str = _part(self.content, "info", "title")
        return title

    @cached_property
    def sent(self) -> Mapping[str, Message]:
        """The messages that the service publishes, by type."""
        return {message.type: message for message in self._messages("send")}

    @cached_property
    def received(self) -> Mapping[str, Message]:
        """The messages that the service consumes, by type."""
        return {message.type: message for message in self._messages("receive")}

    def resolved(self, node: Any) -> Any:
        """Follow a node's references to their end."""
        seen: set[str] = set()
        while isinstance(node, dict) and "$ref" in node:
            reference = str(node["$ref"])
            if reference in seen or not reference.startswith("#/"):
                raise UnreadableDocumentError(f"the reference {reference!r} leads nowhere")
            seen.add(reference)
            node = _part(self.content, *map(_unescaped, reference.removeprefix("#/").split("/")))
        return node

    def _messages(self, action: str) -> Iterator[Message]:
        for operation in self.content.get("operations", {}).values():
            if _part(operation, "action") != action:
                continue
            channel = self.resolved(_part(operation, "channel"))
            # an operation without a list has all messages of its channel
            for reference in operation.get("messages", channel.get("messages", {}).values()):
                yield self._message(self.resolved(reference), str(_part(channel, "address")))

    def _message(self, message: Mapping[str, Any], topic: str) -> Message:
        payload = self.resolved(_part(message, "payload"))
        return Message(
            type=_part(message, "name"),
            topic=topic,
            key_field=_part(message, "bindings", "kafka", "key", KEY_FIELD),
            headers=self.resolved(_part(message, "headers")),
            payload=payload,
            is_deprecated=bool(payload.get("deprecated", False)),
        )


def read_document(path: Path) -> Document:
    """Read a file. Raises UnreadableDocumentError, FileNotFoundError."""
    return parsed(path.read_text(), path.name)


def parsed(text: str, name: str) -> Document:
    """Parse a document. Raises UnreadableDocumentError, which has the name."""
    try:
        document = Document(json.loads(text))
        document.check()
    except ValueError as error:
        raise UnreadableDocumentError(f"{name} can't be read as an AsyncAPI document: {error}") from None
    return document


def _part(node: Any, *path: str) -> Any:
    for name in path:
        try:
            node = node[name]
        except (KeyError, TypeError, IndexError):
            raise UnreadableDocumentError(f"there is no {name!r} where {'/'.join(path)} should lead") from None
    return node


def _unescaped(part: str) -> str:
    """Source: RFC 6901, section 4."""
    return part.replace("~1", "/").replace("~0", "~")
