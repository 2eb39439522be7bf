"""Compares records on a topic with the documents of the services that may have sent them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from asyncapi_gate.reading import Document
from asyncapi_gate.validation import violations

TYPE = "ce_type"


class RawRecord(Protocol):
    """A record as a consumer's client reads it: bytes, and headers in their order."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


R = TypeVar("R", bound=RawRecord)


def undocumented(documents: Iterable[Document], records: Iterable[R]) -> Iterator[tuple[R, str]]:
    """Each record that no document describes, with the reasons in one line.

    A record is described by the message of its header `ce_type`: topic, key, value, and each header, once and readable.
    Raises UnreadableDocumentError.
    """
    by_event = {event: document for document in documents for event in document.sent}
    for record in records:
        headers, faults = read_headers(record)
        event = headers.get(TYPE, f"a record without {TYPE}")
        lines = differences(by_event[event], record) if event in by_event else [*faults, f"nobody documents {event}"]
        if reasons := "; ".join(lines):
            yield record, reasons


def differences(document: Document, record: RawRecord) -> Iterator[str]:
    """How a record differs from the message of its type, which the document has."""
    headers, faults = read_headers(record)
    yield from faults
    message = document.sent[headers[TYPE]]
    if record.topic != message.topic:
        yield f"is sent to the topic {record.topic}, documented is {message.topic}"
    yield from (f"headers: {line}" for line in violations(headers, message.headers, document))
    try:
        payload: Any = json.loads(record.value or b"")
    except (ValueError, RecursionError):  # the second: nested too deep
        yield "its value is no JSON"
        return
    yield from violations(payload, message.payload, document)
    key = (record.key or b"").decode(errors="replace")
    if not isinstance(payload, dict) or payload.get(message.key_field) != key:
        yield f"its key {key} isn't its {message.key_field}"


def read_headers(record: RawRecord) -> tuple[Mapping[str, str], Sequence[str]]:
    """The headers as texts, the last of two, and what is wrong with them."""
    texts: dict[str, str] = {}
    faults: list[str] = []
    for name, raw in record.headers:
        if name in texts:
            faults.append(f"the header {name} is there twice")
        try:
            texts[name] = (raw or b"").decode()
        except UnicodeDecodeError:
            faults.append(f"the header {name} is no UTF-8")
    return texts, faults
