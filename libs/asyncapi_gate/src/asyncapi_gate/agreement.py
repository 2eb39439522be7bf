"""Compares document, pact and code: three views of one event, made in three places."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncapi_gate.reading import Document, Message, read_document
from asyncapi_gate.validation import violations
from asyncapi_gate.wire import differences

MESSAGES = "Asynchronous/Messages"
Pact = Mapping[str, Any]


class UndocumentedRecordError(AssertionError):
    """A service sends something else than its document says."""


def assert_published_as_documented(document: Mapping[str, Any], records: Sequence[Any]) -> None:
    """Compare outbox rows with the service's document: type, topic, key, every header, every field.

    A row has `topic` and `key` (text), `value` (JSON as bytes) and `headers` (texts by name).

    Raises UndocumentedRecordError with a line for each difference, and for each event without a row.
    """
    read = Document(document)
    lines = [line for record in records for line in _differences(read, record)]
    missing = read.sent.keys() - {record.headers.get("ce_type") for record in records}
    lines += [f"{event}: there is no record to compare: no use case here publishes it" for event in sorted(missing)]
    if lines:
        raise UndocumentedRecordError("\n".join(lines))


def _differences(document: Document, row: Any) -> Iterator[str]:
    event = row.headers.get("ce_type", "a record without ce_type")
    if event not in document.sent:
        yield f"{event}: {document.title} sends it, but doesn't document it"
        return
    headers = [(name, value.encode()) for name, value in row.headers.items()]
    yield from (
        f"{event}: {line}" for line in differences(document, _Raw(row.topic, row.key.encode(), row.value, headers))
    )


@dataclass(frozen=True)
class _Raw:
    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


def disagreements(service: str, contracts: Path) -> list[str]:
    """The differences between a service's document and the pact files that name the service, one line each.

    `contracts` has `pacts/` and `asyncapi/`. As a provider, the service must send what its consumers expect. As a
    consumer, it must receive exactly what its pacts name. Pacts over HTTP are not compared.
    """
    paths = {path.stem: path for path in sorted((contracts / "asyncapi").glob("*.json"))}
    if service not in paths:
        return [f"there is no asyncapi/{service}.json: run `make contracts`"]
    document = read_document(paths[service])
    pacts = [json.loads(path.read_text()) for path in sorted((contracts / "pacts").glob("*.json"))]
    expected = [pact for pact in pacts if pact["provider"]["name"] == service]
    own = [pact for pact in pacts if pact["consumer"]["name"] == service]
    found = [*_unkept(document, expected), *_unstated(document, own), *_unknown_providers(own, set(paths))]
    return list(dict.fromkeys(found))  # a pact has an event as often as it asks for its values


def _unkept(document: Document, pacts: Sequence[Pact]) -> Iterator[str]:
    for pact in pacts:
        for interaction in messages(pact):
            metadata = interaction["metadata"]
            expected = f"{pact['consumer']['name']} expects {metadata['ce_type']}"
            if metadata["ce_type"] in document.sent:
                message = document.sent[metadata["ce_type"]]
                example = interaction["contents"]["content"]
                yield from (f"{expected}: {line}" for line in _misfits(document, message, metadata, example))
            else:
                yield f"{expected}, which {document.title} doesn't send"


def _misfits(document: Document, message: Message, metadata: Mapping[str, Any], example: Any) -> Iterator[str]:
    if metadata["kafka_topic"] != message.topic:
        yield f"on the topic {metadata['kafka_topic']}, documented is {message.topic}"
    if metadata["kafka_key_field"] != message.key_field:
        yield f"under the key {metadata['kafka_key_field']}, documented is {message.key_field}"
    yield from violations(example, message.payload, document, partial=True)


def _unstated(document: Document, pacts: Sequence[Pact]) -> Iterator[str]:
    service = document.title
    stated = {interaction["metadata"]["ce_type"] for pact in pacts for interaction in messages(pact)}
    for event in sorted(document.received.keys() - stated):
        yield (
            f"{service} consumes {event} without an expectation: "
            f"add one to services/{service}/tests/contract/expectations.py"
        )
    for event in sorted(stated - document.received.keys()):
        yield f"{service} has a pact about {event}, which it doesn't consume: route it, or drop the expectation"


def _unknown_providers(pacts: Sequence[Pact], documented: set[str]) -> Iterator[str]:
    for pact in pacts:
        consumer, provider = pact["consumer"]["name"], pact["provider"]["name"]
        if provider not in documented and list(messages(pact)):
            yield f"{consumer} has a pact with {provider}, of which there is no asyncapi/{provider}.json"


def messages(pact: Pact) -> Iterator[Mapping[str, Any]]:
    """A pact's interactions over Kafka."""
    return (interaction for interaction in pact["interactions"] if interaction["type"] == MESSAGES)
