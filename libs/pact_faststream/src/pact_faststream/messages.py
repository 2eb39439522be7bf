"""The consumer's side: an expectation is stated once, received by the real subscriber, and written to the pact file."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pact import Pact

from pact_faststream._compat.faststream import Subscriber, feed, topics_of
from pact_faststream.files import PactFile
from pact_faststream.metadata import RULES, metadata_expected, record_of
from pact_faststream.records import ConsumedMessage
from pact_faststream.rules import Rule, body_rules

Outcome = Callable[[], object]
"""Returns the consumer's state, to compare: a new value each time, or an awaitable of one."""


class ExpectationError(ValueError):
    """An expectation would check less than it seems to."""


@dataclass(frozen=True)
class Expectation:
    """One message that a consumer can handle.

    `example` is the consumer's own view of the event, with every field that it needs set; `given` names the
    provider's state, `parameters` its parameters. Matching rules are derived from the example's model; `rules`, by
    JSON path, replace single ones. Raises ExpectationError if the example leaves something unchecked.
    """

    description: str
    example: ConsumedMessage
    given: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        body = json.loads(self.body)
        if not body:
            raise ExpectationError(f"{self.description!r}: an empty example accepts any message; set what is needed")
        for path in _empty_lists("$", body):
            raise ExpectationError(f"{self.description!r}: {path} is empty, so nothing of its items would be checked")
        type(self.example).model_validate_json(self.body)

    @cached_property
    def body(self) -> str:
        """The example as JSON: the fields that were set and no others."""
        return self.example.model_dump_json(exclude_unset=True)


@dataclass(frozen=True)
class MessagePact:
    """All that one consumer expects of one provider."""

    consumer: str
    provider: str
    expectations: tuple[Expectation, ...]

    async def receive(self, description: str, subscriber: Subscriber, outcome: Outcome) -> None:
        """Give the message that Pact builds of an expectation to the service's real subscriber.

        `subscriber` belongs to a broker under TestKafkaBroker. `outcome` returns the consumer's own state, which the
        message must change. Raises LookupError for an unknown description, AssertionError if the message was not
        handled, and whatever the subscriber raises.
        """
        received = _Receiver(subscriber, asyncio.get_running_loop())
        before = await _resolved(outcome())
        pact = self._pact([self._expectation(description)])
        await asyncio.to_thread(pact.verify, received, "Async", raises=False)
        received.check(description)
        if await _resolved(outcome()) == before:
            raise AssertionError(
                f"{description!r} changed nothing in {self.consumer}: was the handler awaited, is it routed by this "
                "type, was the message dead-lettered? (`outcome` must return a new value each time)"
            )

    def file(self, folder: Path) -> PactFile:
        """The checked-in pact file, to check or to write."""
        return PactFile(folder, self.consumer, self.provider, lambda: self._pact(list(self.expectations)))

    def _expectation(self, description: str) -> Expectation:
        for expectation in self.expectations:
            if expectation.description == description:
                return expectation
        raise LookupError(f"{self.consumer} has no expectation {description!r} of {self.provider}")

    def _pact(self, expectations: list[Expectation]) -> Pact:
        pact = Pact(self.consumer, self.provider).with_specification("V4")
        for expectation in expectations:
            interaction = pact.upon_receiving(expectation.description, "Async")
            interaction.given(expectation.given, dict(expectation.parameters))
            interaction.with_body(expectation.body, "application/json")
            interaction.with_metadata(dict(metadata_expected(expectation.example)))
            rules = {**body_rules(type(expectation.example)), **expectation.rules}
            interaction.with_matching_rules({"body": rules, "metadata": dict(RULES)})
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
            asyncio.run_coroutine_threadsafe(self._feed(record_of(body, metadata)), self._loop).result()
        except Exception as error:
            self._error = error
            raise

    async def _feed(self, record: Any) -> None:
        topics = topics_of(self._subscriber)
        if record.topic not in topics:
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
