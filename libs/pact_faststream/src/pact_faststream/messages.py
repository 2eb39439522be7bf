"""The consumer's side: an expectation is stated once, received by the real subscriber, and written to the pact file."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pact import Pact

from pact_faststream._compat.faststream import Subscriber, feed, topics_of
from pact_faststream.expectations import ExpectationError, refuse_twice
from pact_faststream.files import PactFile
from pact_faststream.metadata import RULES, is_cloud_event, metadata_expected, record_of
from pact_faststream.records import ConsumedMessage
from pact_faststream.rules import Rule, body_rules
from pact_faststream.values.expected import confusions, value_rules

Outcome = Callable[[], object]
"""Returns the consumer's state, to compare: a new value each time, or an awaitable of one."""


@dataclass(frozen=True)
class Expectation:
    """One message that a consumer can handle.

    `example` is the consumer's own view of the event, with every field that it needs set; `given` names the
    provider's state, `parameters` its parameters. Matching rules are derived from the example's model; `rules`, by
    JSON path, replace single ones.

    `another` is a second example, all of whose values are others; `same` names the JSON paths of which the provider has
    but one. With it the provider is asked for the values of both, and has to send these very values. Without it only
    their form is expected.

    `topic`, `key` (the field that the record's key equals) and `headers` are what the consumer needs of the record. A
    CloudEvent's class says the first two and two headers itself. Without a topic it is the subscriber's. `header_rules`
    replace the equality of single headers. An example may also be bytes, such as Avro or Protobuf: then these very
    bytes are expected.

    Raises ExpectationError if the examples leave something unchecked.
    """

    description: str
    example: ConsumedMessage | bytes
    given: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    another: ConsumedMessage | None = None
    same: Collection[str] = ()
    topic: str | None = None
    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    header_rules: Mapping[str, Rule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.example, bytes):
            if not self.example or self.another is not None or self.rules or self.key:
                raise ExpectationError(f"{self.description!r}: bytes have no fields, so give them alone, and not empty")
            return
        for example in (self.example, self.another):
            if example is not None:
                self._check(example)
        if self.another is not None:
            for confusion in confusions(self.example, self.another, self.same):
                raise ExpectationError(f"{self.description!r}: {confusion}")

    def _check(self, example: ConsumedMessage) -> None:
        body = json.loads(_body(example))
        if not body:
            raise ExpectationError(f"{self.description!r}: an empty example accepts any message; set what is needed")
        for path in _empty_lists("$", body):
            raise ExpectationError(f"{self.description!r}: {path} is empty, so nothing of its items would be checked")
        type(example).model_validate_json(_body(example))

    @cached_property
    def body(self) -> str | bytes:
        """The example as JSON: the fields that were set and no others; bytes as they are."""
        return self.example if isinstance(self.example, bytes) else _body(self.example)

    @property
    def metadata(self) -> Mapping[str, str]:
        """What is expected of the record beside its body."""
        return metadata_expected(type(self.example), topic=self.topic, key=self.key, headers=self.headers)

    @property
    def metadata_rules(self) -> Mapping[str, Rule]:
        """The rules for it; without one, equality."""
        return {**(RULES if is_cloud_event(type(self.example)) else {}), **self.header_rules}

    @cached_property
    def interactions(self) -> Mapping[str, "Wanted"]:
        """What the pact file has of it, by description: the form, and the values of each of two examples."""
        if isinstance(self.example, bytes):
            return {self.description: Wanted(self.example, self.parameters, {})}
        form = {**body_rules(type(self.example)), **self.rules}
        wanted = {self.description: Wanted(self.example, self.parameters, form)}
        if self.another is not None:
            for what, example in (("these very", self.example), ("other", self.another)):
                asked = {**self.parameters, **json.loads(_body(example))}
                wanted[f"{self.description}, with {what} values"] = Wanted(example, asked, value_rules(example))
        return wanted


@dataclass(frozen=True)
class Wanted:
    """A message, the parameters of the provider's state, and the rules for the body."""

    example: ConsumedMessage | bytes
    parameters: Mapping[str, Any]
    rules: Mapping[str, Rule]


@dataclass(frozen=True)
class MessagePact:
    """All that one consumer expects of one provider. Raises ExpectationError if two have one description."""

    consumer: str
    provider: str
    expectations: tuple[Expectation, ...]

    def __post_init__(self) -> None:
        descriptions = (each for expectation in self.expectations for each in expectation.interactions)
        refuse_twice(descriptions, self.consumer, self.provider)

    async def receive(self, description: str, subscriber: Subscriber, outcome: Outcome) -> None:
        """Give the message that Pact builds of an expectation to the service's real subscriber.

        `subscriber` belongs to a broker under TestKafkaBroker. `outcome` returns the consumer's own state, which the
        message must change. Raises LookupError for an unknown description, AssertionError if the message was not
        handled, and whatever the subscriber raises.
        """
        received = _Receiver(subscriber, asyncio.get_running_loop())
        before = await _resolved(outcome())
        pact = self._pact({description: self._expectation(description)})
        await asyncio.to_thread(pact.verify, received, "Async", raises=False)
        received.check(description)
        if await _resolved(outcome()) == before:
            raise AssertionError(
                f"{description!r} changed nothing in {self.consumer}: was the handler awaited, is it routed by this "
                "type, was the message dead-lettered? (`outcome` must return a new value each time)"
            )

    def file(self, folder: Path) -> PactFile:
        """The checked-in pact file, to check or to write."""
        return PactFile(folder, self.consumer, self.provider, lambda: self._pact(self._expected))

    @property
    def descriptions(self) -> list[str]:
        """Of all messages that the pact file has; `receive` takes each."""
        return list(self._expected)

    @property
    def _expected(self) -> Mapping[str, Expectation]:
        return {each: expectation for expectation in self.expectations for each in expectation.interactions}

    def _expectation(self, description: str) -> Expectation:
        if description not in self._expected:
            raise LookupError(f"{self.consumer} has no expectation {description!r} of {self.provider}")
        return self._expected[description]

    def _pact(self, expected: Mapping[str, Expectation]) -> Pact:
        pact = Pact(self.consumer, self.provider).with_specification("V4")
        for description, expectation in expected.items():
            wanted = expectation.interactions[description]
            interaction = pact.upon_receiving(description, "Async")
            interaction.given(expectation.given, dict(wanted.parameters))
            if isinstance(wanted.example, bytes):
                interaction.with_binary_body(wanted.example, "application/octet-stream")
            else:
                interaction.with_body(_body(wanted.example), "application/json")
            interaction.with_metadata(dict(expectation.metadata))
            rules = {"body": dict(wanted.rules), "metadata": dict(expectation.metadata_rules)}
            interaction.with_matching_rules({part: each for part, each in rules.items() if each})
        return pact


class _Receiver:
    """Pact calls this in a thread of its own; the subscriber runs on the test's loop."""

    def __init__(self, subscriber: Subscriber, loop: asyncio.AbstractEventLoop) -> None:
        self._subscriber = subscriber
        self._loop = loop
        self._messages = 0
        self._error: BaseException | None = None

    def __call__(self, body: str | bytes | None, metadata: Mapping[str, object]) -> None:
        self._messages += 1
        try:
            topics = topics_of(self._subscriber)
            record = record_of(body, metadata, topics[0] if topics else "")
            asyncio.run_coroutine_threadsafe(self._feed(record), self._loop).result()
        except Exception as error:
            self._error = error
            raise

    async def _feed(self, record: Any) -> None:
        topics = topics_of(self._subscriber)
        if topics and record.topic not in topics:  # a pattern has no names
            raise AssertionError(
                f"the subscriber doesn't listen to the topic {record.topic!r}, only to {', '.join(topics)}: "
                "in production it would never see this message"
            )
        await feed(self._subscriber, record)

    def check(self, description: str) -> None:
        if self._error is not None:
            raise self._error
        if self._messages != 1:
            raise AssertionError(f"Pact gave {self._messages} messages for {description!r}, not 1")


def _body(example: ConsumedMessage) -> str:
    return example.model_dump_json(exclude_unset=True)


async def _resolved(value: object | Awaitable[object]) -> object:
    return await value if inspect.isawaitable(value) else value


def _empty_lists(path: str, node: object) -> Iterator[str]:
    match node:
        case []:
            yield path
        case list():
            for item in node:
                yield from _empty_lists(f"{path}[*]", item)
        case dict():
            for name, value in node.items():
                yield from _empty_lists(f"{path}.{name}", value)
