"""The consumer's side: an expectation is stated once, received by the real subscriber, and written to the pact file."""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chassis.events import ConsumedEvent
from pact import Pact

from testkit.pact.metadata import metadata_of, record_of
from testkit.pact.rules import body_rules

Feed = Callable[[Any], Awaitable[None]]
SPECIFICATION = "V4"


class StalePactError(AssertionError):
    """The checked-in pact file isn't what the expectations say now."""


@dataclass(frozen=True)
class Expectation:
    """One message that a consumer can handle.

    ``example`` holds what the consumer uses and nothing else; ``given`` is the provider state, ``parameters`` its
    parameters. The matching rules come from ``model``.
    """

    description: str
    model: type[ConsumedEvent]
    example: Mapping[str, Any]
    given: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model.model_validate_json(json.dumps(self.example))


@dataclass(frozen=True)
class MessagePact:
    """All that one consumer expects of one provider."""

    consumer: str
    provider: str
    expectations: tuple[Expectation, ...]

    async def receive(self, description: str, feed: Feed) -> None:
        """Give the message that Pact builds of an expectation to the service's real subscriber.

        ``feed`` takes an aiokafka ConsumerRecord, such as one for ``subscriber.process_message``. Raises LookupError
        for an unknown description, AssertionError if Pact gave no message, and whatever the subscriber raises.
        """
        loop, fed, errors = asyncio.get_running_loop(), 0, []

        def handle(body: str | bytes | None, metadata: Mapping[str, object]) -> None:
            nonlocal fed
            try:
                # Pact calls from a thread of its own: the subscriber belongs to the test's loop
                asyncio.run_coroutine_threadsafe(_awaited(feed(record_of(body, metadata))), loop).result()
            except Exception as error:
                errors.append(error)
                raise
            fed += 1

        pact = self._pact([self._expectation(description)])
        await asyncio.to_thread(pact.verify, handle, "Async", raises=False)
        if errors:
            raise errors[0]
        if fed != 1:
            raise AssertionError(f"Pact gave {fed} messages for {description!r}, not 1")

    def check_file(self, folder: Path, *, write: bool) -> None:
        """Compare the pact file in ``folder`` with the expectations; ``write`` makes it again instead.

        Raises StalePactError.
        """
        path = folder / f"{self.consumer}-{self.provider}.json"
        current = self._document()
        if write:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(current)
        elif not path.exists() or path.read_text() != current:
            raise StalePactError(f"{path.name} is not what the expectations say: run `make contracts` and commit it")

    def _expectation(self, description: str) -> Expectation:
        for expectation in self.expectations:
            if expectation.description == description:
                return expectation
        raise LookupError(f"{self.consumer} has no expectation {description!r} of {self.provider}")

    def _pact(self, expectations: list[Expectation]) -> Pact:
        pact = Pact(self.consumer, self.provider).with_specification(SPECIFICATION)
        for expectation in expectations:
            _add(expectation, pact)
        return pact

    def _document(self) -> str:
        with tempfile.TemporaryDirectory() as folder:
            self._pact(list(self.expectations)).write_file(folder, overwrite=True)
            [path] = Path(folder).glob("*.json")
            return path.read_text()


def _add(expectation: Expectation, pact: Pact) -> None:
    metadata = metadata_of(expectation.model)
    interaction = pact.upon_receiving(expectation.description, "Async")
    interaction.given(expectation.given, dict(expectation.parameters))
    interaction.with_body(json.dumps(expectation.example), "application/json")
    interaction.with_metadata(dict(metadata))
    interaction.with_matching_rules({"body": body_rules(expectation.model)})


async def _awaited(result: Awaitable[None]) -> None:
    await result
