"""The services as they describe themselves: events and topics by AsyncAPI, what can be asked by OpenAPI."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

ASYNCAPI, OPENAPI = "/asyncapi.json", "/openapi.json"
API = "/api/v1/"


@dataclass(frozen=True)
class View:
    """A GET of a service by an event key alone, such as `/api/v1/payments?order_id=`."""

    path: str
    parameter: str
    in_path: bool

    def request(self, key: str) -> tuple[str, Mapping[str, str]]:
        """The path and the query for a key."""
        if self.in_path:
            return self.path.replace(f"{{{self.parameter}}}", key), {}
        return self.path, {self.parameter: key}


@dataclass(frozen=True)
class Described:
    """A service: `publishes` and `reads` have topics by event type, `views` what it shows of a key."""

    name: str
    url: str
    publishes: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, str] = field(default_factory=dict)
    views: Sequence[View] = ()


@dataclass(frozen=True)
class Catalogue:
    """All services that have described themselves so far, in the order of the settings."""

    services: Mapping[str, Described] = field(default_factory=dict)

    @property
    def topics(self) -> Sequence[str]:
        """All topics, without the prefix."""
        named = (topic for one in self.services.values() for topic in (*one.publishes.values(), *one.reads.values()))
        return tuple(dict.fromkeys(named))

    def readers(self, event_type: str) -> Sequence[str]:
        """The services that read an event."""
        return [name for name, one in self.services.items() if event_type in one.reads]

    def publisher(self, event_type: str) -> str | None:
        """The service that publishes an event; None for an unknown one."""
        return next((name for name, one in self.services.items() if event_type in one.publishes), None)


async def describe(http: httpx.AsyncClient, name: str, url: str) -> Described:
    """Ask a service. Raises httpx.HTTPError, or ValueError for an answer that is no such document."""
    events, calls = [(await http.get(f"{url}{path}")).raise_for_status().json() for path in (ASYNCAPI, OPENAPI)]
    try:
        return Described(
            name=name,
            url=url,
            publishes=dict(_events(events, "send")),
            reads=dict(_events(events, "receive")),
            views=tuple(_views(calls, _key_fields(events))),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{url} describes itself in another form: {error!r}") from None


def _events(document: Mapping[str, Any], action: str) -> Iterator[tuple[str, str]]:
    for operation in document["operations"].values():
        if operation["action"] != action:
            continue
        channel = document["channels"][_last(operation["channel"])]
        for message in operation["messages"]:
            yield _last(message), channel["address"]


def _key_fields(document: Mapping[str, Any]) -> set[str]:
    messages = document["components"]["messages"].values()
    return {message["bindings"]["kafka"]["key"]["x-key-field"] for message in messages}


def _views(document: Mapping[str, Any], keys: set[str]) -> Iterator[View]:
    for path, methods in document["paths"].items():
        call = methods.get("get")
        if call is None or not path.startswith(API):
            continue
        required = [one for one in call.get("parameters", []) if one.get("required")]
        if len(required) == 1 and required[0]["name"] in keys:
            yield View(path, required[0]["name"], required[0]["in"] == "path")


def _last(reference: Mapping[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]
