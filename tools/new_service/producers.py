"""What the others publish, from the contracts that are checked in: documents for the form, pacts for the values."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shop_harness.services import ROOT

from tools.new_service.names import EVENT, EventName, WrongArgumentError

DOCUMENTS, PACTS = "contracts/asyncapi", "contracts/pacts"
FIRST, ANOTHER = ", with these very values", ", with other values"
"""The ends of the descriptions of an expectation's two examples."""
ONE_ID, ANOTHER_ID = "0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10", "b1946ac9-2a0c-4f6e-8d57-41f0c2a7d3e5"


@dataclass(frozen=True)
class Published:
    """An event that a service publishes.

    `example` and `another` have the fields that other services rely on, with the values that they ask for; an event
    that nobody reads yet has its key alone. `schema` is of its data, `definitions` are those that it refers to.
    """

    name: EventName
    producer: str
    topic: str
    key: str
    schema: Mapping[str, Any]
    definitions: Mapping[str, Any]
    state: str
    description: str
    example: Mapping[str, Any]
    another: Mapping[str, Any]
    is_read: bool


def published() -> Mapping[str, Published]:
    """All events by type."""
    pacts = [json.loads(file.read_text()) for file in sorted((ROOT / PACTS).glob("*.json"))]
    documents = [json.loads(file.read_text()) for file in sorted((ROOT / DOCUMENTS).glob("*.json"))]
    return {event.name.type: event for document in documents for event in _sent(document, pacts)}


def readable(wanted: Sequence[str], offered: Mapping[str, Published]) -> Sequence[Published]:
    """The events that READS names: `order.confirmed` (its newest version), `order.confirmed.v1`, or `payment.*`.

    Raises WrongArgumentError.
    """
    found = [event for name in wanted for event in _named(name, offered)]
    types = [event.name.type for event in found]
    if len(set(types)) < len(types):
        raise WrongArgumentError(f"READS={','.join(wanted)}: names an event twice")
    keys = {event.key: event.name.short for event in found}
    if len(keys) > 1:
        said = " and ".join(f"{name} by {key}" for key, name in keys.items())
        raise WrongArgumentError(f"READS: {said} aren't about one thing: a service follows events of one key")
    return found


def _named(name: str, offered: Mapping[str, Published]) -> Sequence[Published]:
    if name.endswith(".*"):
        found = [event for event in offered.values() if event.name.thing == name.removesuffix(".*")]
    else:
        if not EVENT.fullmatch(name):
            raise WrongArgumentError(f"READS={name}: an event is called like order.confirmed, order.confirmed.v1")
        versions = [event for event in offered.values() if name in {event.name.short, event.name.type}]
        found = sorted(versions, key=lambda event: event.name.version)[-1:]
    if not found:
        raise WrongArgumentError(f"READS={name}: nobody publishes it; there are {', '.join(sorted(offered))}")
    return found


def _sent(document: Mapping[str, Any], pacts: Sequence[Any]) -> Iterator[Published]:
    messages = document["components"]["messages"]
    for operation in document["operations"].values():
        if operation["action"] != "send":
            continue
        topic = operation["channel"]["$ref"].rpartition("/")[2]
        for reference in operation["messages"]:
            event = reference["$ref"].rpartition("/")[2]
            yield _published(event, topic, messages[event], document, pacts)


def _published(
    event: str, topic: str, message: Mapping[str, Any], document: Mapping[str, Any], pacts: Sequence[Any]
) -> Published:
    thing, what, version = event.split(".")
    name = EventName(thing, what, int(version.removeprefix("v")))
    producer, schemas = document["info"]["title"], document["components"]["schemas"]
    key = message["bindings"]["kafka"]["key"]["x-key-field"]
    interactions = [
        interaction
        for pact in pacts
        if pact["provider"]["name"] == producer
        for interaction in pact["interactions"]
        if interaction.get("metadata", {}).get("ce_type") == event
    ]
    first = next((one["description"] for one in interactions), f"{article(thing)} was {words(what)}")
    return Published(
        name=name,
        producer=producer,
        topic=topic,
        key=key,
        schema=schemas[message["payload"]["$ref"].rpartition("/")[2]],
        definitions=schemas,
        state=next((one["providerStates"][0]["name"] for one in interactions), state_of(name)),
        description=first.partition(", with ")[0],
        example={**_merged({key: ONE_ID}, interactions, FIRST), key: ONE_ID},
        another={**_merged({key: ANOTHER_ID}, interactions, ANOTHER), key: ANOTHER_ID},
        is_read=bool(interactions),
    )


def state_of(name: EventName) -> str:
    """The provider's state in which an event is published."""
    return f"{article(name.thing)} is {words(name.what)}"


def article(thing: str) -> str:
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {words(thing)}"


def words(name: str) -> str:
    return name.replace("_", " ")


def _merged(begin: Mapping[str, Any], interactions: Sequence[Any], end: str) -> Mapping[str, Any]:
    found = begin
    for interaction in interactions:
        if interaction["description"].endswith(end):
            found = _with(found, interaction["contents"]["content"])
    return found


def _with(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    both = dict(one)
    for name, value in other.items():
        both[name] = _with(both[name], value) if isinstance(both.get(name), dict) else value
    return both
