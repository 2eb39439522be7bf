"""Which fields of an event are held by a pact: of those that are published, and of those that a consumer reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncapi_gate.agreement import Pact, messages
from asyncapi_gate.reading import Document
from asyncapi_gate.schemas import Option, below, options

Unread = Mapping[str, Mapping[str, str]]
"""By event: the fields that nobody reads, with the reason why they are sent."""


@dataclass(frozen=True)
class Coverage:
    """What is held of one event, as one service sends or reads it.

    `held` are the leaf fields that a pact names or that are listed as unread; `problems` has a line for each other one.
    """

    title: str
    held: int
    fields: int
    problems: Sequence[str]

    def __str__(self) -> str:
        return f"{self.title}: {self.held}/{self.fields} fields"


def coverage(documents: Sequence[Document], pacts: Sequence[Pact], unread: Unread) -> list[Coverage]:
    """Every event of all services: its fields as published, then as each consumer's model reads them.

    A published field has to stand in a consumer's pact or in `unread`, and not in both. A field that a consumer's model
    reads has to stand in its pact, with a value at least once where it may be null or absent.

    Raises UnreadableDocumentError.
    """
    found = ((*_published(document, pacts, unread), *_read(document, pacts)) for document in documents)
    sent = {event for document in documents for event in document.sent}
    unknown = [Coverage(event, 0, 0, ["is listed, but nobody publishes it"]) for event in unread if event not in sent]
    return [each for of_document in found for each in of_document] + unknown


def of_answer(title: str, schema: Any, bodies: Sequence[Any]) -> Coverage:
    """What one of these bodies of HTTP answers holds of the JSON schema of a model that reads it.

    The schema's references start at itself. One body has to have all fields: that of another answer is another field.
    """
    fields = leaves(schema, Document(schema))
    missing = min(([field for field in fields if not stands(body, field)] for body in bodies), key=len, default=fields)
    return _of_reader(title, fields, missing)


def leaves(schema: Any, document: Document) -> list[str]:
    """The paths of the fields that hold no others: `total.amount`, `items[].quantity`, `prices.*`."""
    return list(dict.fromkeys(_leaves("", (schema,), document, frozenset())))


def stands(value: Any, path: str) -> bool:
    """Whether a JSON value has something other than null at a path."""
    return any(found is not None for found in _found(value, path.replace("[]", ".[]").removeprefix(".").split(".")))


def _published(document: Document, pacts: Sequence[Pact], unread: Unread) -> Iterator[Coverage]:
    for event, message in document.sent.items():
        examples = list(_examples(event, (pact for pact in pacts if pact["provider"]["name"] == document.title)))
        fields, listed = leaves(message.payload, document), unread.get(event, {})
        read = {field for field in fields if any(stands(example, field) for example in examples)}
        problems = [
            *(
                f"{field}: no pact reads it, and nobody says why it is sent"
                for field in fields
                if field not in {*read, *listed}
            ),
            *(f"{field}: is listed as unread, but a pact reads it" for field in listed if field in read),
            *(f"{field}: is listed as unread, but isn't published" for field in listed if field not in fields),
            *(f"{field}: is listed without a reason" for field, reason in listed.items() if not reason.strip()),
        ]
        held = read | (listed.keys() & set(fields))
        yield Coverage(f"{document.title} publishes {event}", len(held), len(fields), problems)


def _read(document: Document, pacts: Sequence[Pact]) -> Iterator[Coverage]:
    for event, message in document.received.items():
        examples = list(_examples(event, (pact for pact in pacts if pact["consumer"]["name"] == document.title)))
        fields = leaves(message.payload, document)
        missing = [field for field in fields if not any(stands(example, field) for example in examples)]
        yield _of_reader(f"{document.title} reads {event}", fields, missing)


def _of_reader(title: str, fields: Sequence[str], missing: Sequence[str]) -> Coverage:
    problems = [f"{field}: the model reads it, but it has no value in the pact" for field in missing]
    return Coverage(title, len(fields) - len(missing), len(fields), problems)


def _examples(event: str, pacts: Iterator[Pact]) -> Iterator[Any]:
    for pact in pacts:
        for interaction in messages(pact):
            if interaction["metadata"]["ce_type"] == event:
                yield interaction["contents"]["content"]


def _leaves(path: str, schemas: Sequence[Any], document: Document, around: frozenset[int]) -> Iterator[str]:
    seen = frozenset(map(id, map(document.resolved, schemas)))
    if seen & around:
        return
    for option in options(schemas, document):
        below_it = list(_below(path, option))
        for inner, found in below_it:
            yield from _leaves(inner, found, document, around | seen)
        if not below_it and option.type != "null":
            yield path


def _below(path: str, option: Option) -> Iterator[tuple[str, Sequence[Any]]]:
    if option.type == "object":
        yield from ((below(path, name), schemas) for name, schemas in option.fields().items())
        if others := option.others():
            yield below(path, "*"), others
    if option.type == "array":
        yield from ((f"{path}[]", found) for index in range(option.places + 1) if (found := option.item(index)))


def _found(value: Any, path: Sequence[str]) -> Iterator[Any]:
    if not path:
        yield value
    elif path[0] == "[]":
        for item in value if isinstance(value, list) else ():
            yield from _found(item, path[1:])
    elif isinstance(value, dict):
        for name in value if path[0] == "*" else value.keys() & {path[0]}:
            yield from _found(value[name], path[1:])
