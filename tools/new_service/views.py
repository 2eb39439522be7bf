"""Python of what a service reads: the models of its own view, and its expectations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from tools.new_service.names import camel
from tools.new_service.producers import Published

AMOUNT = (r"\.\d{2}$", r"\.[0-9]{2}$")
"""How the pattern of an amount of money ends."""
FORMATS: Mapping[str, str] = {"uuid": "UUID", "date-time": "ConsumedTimestamp"}
TYPES: Mapping[str, str] = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
SOURCES: Mapping[str, str] = {
    "UUID": "uuid",
    "ConsumedTimestamp": "outboxed.messages",
    "ConsumedAmount": "outboxed.messages",
    "ConsumedData": "outboxed.messages",
    "ConsumedEvent": "outboxed.messages",
}


@dataclass
class Views:
    """Classes of events, each with the classes inside it before it; names are unique."""

    bodies: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=lambda: {"ConsumedEvent"})

    @property
    def classes(self) -> str:
        return "\n\n\n".join(self.bodies.values())

    @property
    def imports(self) -> str:
        """In the order of the linter after it has sorted them."""
        sources = sorted({(SOURCES[name], name) for name in self.used if name in SOURCES})
        grouped = groupby(sources, key=lambda pair: pair[0])
        return "\n".join(f"from {source} import {', '.join(name for _, name in names)}" for source, names in grouped)

    def add(self, event: Published, cls: str) -> None:
        """The class of an event with the fields of its example."""
        named = f'ConsumedEvent, type="{event.name.type}", topic="{event.topic}", key_field="{event.key}"'
        fields = "\n".join(self._fields(cls, event.example, event.schema, event.definitions))
        self.bodies[cls] = f"class {cls}({named}):\n{fields}"

    def _fields(
        self, owner: str, example: Mapping[str, Any], schema: Mapping[str, Any], definitions: Mapping[str, Any]
    ) -> Iterator[str]:
        for name, value in example.items():
            inner = _resolved(schema["properties"][name], definitions)
            yield f"    {name}: {self._type(f'{owner}{camel(name)}', value, inner, definitions)}"

    def _type(self, cls: str, value: Any, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
        if isinstance(value, dict):
            self.used.add("ConsumedData")
            fields = "\n".join(self._fields(cls, value, schema, definitions))
            self.bodies[cls] = f"class {cls}(ConsumedData):\n{fields}"
            return cls
        if isinstance(value, list):
            items = _resolved(schema.get("items", {}), definitions)
            return f"list[{self._type(cls, value[0], items, definitions)}]"
        leaf = _leaf(schema)
        self.used.add(leaf)
        return leaf


def _leaf(schema: Mapping[str, Any]) -> str:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    if str(schema.get("pattern", "")).endswith(AMOUNT):
        return "ConsumedAmount"
    return TYPES.get(str(schema.get("type", "string")), "str")


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without references, and without null, which an example never is."""
    if "$ref" in schema:
        return _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            return _resolved(option, definitions)
    return schema


def views(events: Mapping[str, Published]) -> Views:
    """Of events by the name of their class."""
    found = Views()
    for cls, event in events.items():
        found.add(event, cls)
    return found


@dataclass(frozen=True)
class Expectations:
    """Of a service: a pact a producer."""

    service: str
    events: Mapping[str, Published]

    @property
    def producers(self) -> Sequence[str]:
        return list(dict.fromkeys(event.producer for event in self.events.values()))

    @property
    def pact_names(self) -> Sequence[str]:
        return [pact_name(producer) for producer in self.producers]

    @property
    def names(self) -> Sequence[str]:
        """What a test imports."""
        return [*self.pact_names, *{event.key.upper() for event in self.events.values()}]

    @property
    def imports(self) -> str:
        return (
            "from uuid import UUID\n\nfrom pact_faststream import Expectation, MessagePact\n"
            f"from {self.service}.consumed_events import {', '.join(self.events)}"
        )

    @property
    def pacts(self) -> str:
        ids = dict.fromkeys(
            f'{event.key.upper()} = UUID("{event.example[event.key]}")' for event in self.events.values()
        )
        return "\n".join([*ids, "", *(self._pact(producer) for producer in self.producers)])

    def _pact(self, producer: str) -> str:
        own = [_expectation(cls, event) for cls, event in self.events.items() if event.producer == producer]
        given = f'consumer="{self.service}", provider="{producer}", expectations=({"".join(own)})'
        return f"{pact_name(producer)} = MessagePact({given})\n"


def pact_name(producer: str) -> str:
    return f"OF_{producer.upper()}"


def _expectation(cls: str, event: Published) -> str:
    same = list(_same("$", event.example, event.another))
    parts = [
        repr(event.description),
        f"{cls}.model_validate({dict(event.example)!r})",
        f"given={event.state!r}",
        f"another={cls}.model_validate({dict(event.another)!r})",
        *([f"same={same!r}"] if same else []),
    ]
    return f"Expectation({', '.join(parts)},),"


def _same(path: str, one: Any, other: Any) -> Iterator[str]:
    """Where both examples have one value, because the provider has but one."""
    match one, other:
        case dict(), dict():
            for name, value in one.items():
                yield from _same(f"{path}.{name}", value, other.get(name))
        case list(), list():
            for number, (mine, others) in enumerate(zip(one, other, strict=False)):
                yield from _same(f"{path}[{number}]", mine, others)
        case _ if one == other:
            yield path
