"""The messages that are offered to Pact: read as a consumer's client would read them, from the rows of use cases."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pact_faststream._compat.pact import message_asked
from pact_faststream.callbacks import BYTES, JSON, Reply, message
from pact_faststream.metadata import check_headers, metadata_sent, texts_of
from pact_faststream.records import OutboxRecord, WireRecord, wire
from pact_faststream.sources import Interaction, Result
from pact_faststream.values.sent import differences, merged, new_parameters, read_of
from pact_faststream.verifying.ids import Ids
from pact_faststream.verifying.states import ProviderState, name_of

Outbox = Callable[[], Awaitable[Sequence[OutboxRecord]]]
"""All rows of the outbox so far, oldest first, as the relay sends them."""

Offered = tuple[Interaction, int]
"""An interaction, and the number of a variant."""


@dataclass
class Answers:
    """Answers Pact in its own thread by running use cases on the test's loop.

    `made` has what became of each interaction of a run, as fields of its Result.
    """

    states: Mapping[str, ProviderState]
    outbox: Outbox
    loop: asyncio.AbstractEventLoop
    made: dict[Interaction, dict[str, Any]] = field(default_factory=dict)
    _offered: Mapping[str, Offered] = field(default_factory=dict)
    _edges: dict[str, Mapping[str, "_Sent"]] = field(default_factory=dict)
    _ids: Ids = field(default_factory=Ids)

    def begin(self, offered: Mapping[str, Offered]) -> None:
        """Begin a run: what each description stands for."""
        self._offered = offered
        self.made = {}

    def variants_of(self, states: Sequence[Mapping[str, Any]]) -> int:
        """How many variants an interaction with these provider states has: one if it asks for values."""
        if len(states) != 1 or states[0]["name"] not in self.states:
            return 1
        state = self.states[states[0]["name"]]
        return 1 if states[0].get("params") and state.asked else len(state.variants)

    def answer(self, request: Mapping[str, Any]) -> Reply:
        """Give the message that Pact asks for: by description, with its provider states."""
        description, states = message_asked(request)
        names = tuple(name for name, _ in states)
        own = Interaction(description, names)
        made = self.made.setdefault(own, {})
        try:
            made["interaction"], number = self._offered[description]
            state = self._state(names)
            variant = list(state.variants)[number]
            [(_, parameters)] = states
            if parameters and state.asked:
                made["parameters"] = merged(made.get("parameters", {}), parameters)
            else:
                made["variant"] = variant
            return _message(self._run(self._record(state, state.produce(state.variants[variant], parameters))))
        except Exception as error:
            # this has failed, even if Pact takes the page with status 500 for a message and accepts it
            made["mismatches"] = (f"{type(error).__name__}: {error}",)
            raise

    async def at_the_edges(self, results: Sequence[Result]) -> Sequence[Result]:
        """For each interaction that asks for values: whether each variant's values come back, too."""
        asking = [result for result in results if result.parameters and result.ok]
        return [
            Result(result.consumer, result.interaction, sent.wrong_for(result.parameters), result.pending, variant)
            for result in asking
            for variant, sent in (await self._swept(result.states[0])).items()
        ]

    async def _swept(self, name: str) -> Mapping[str, "_Sent"]:
        """Once, for all pacts."""
        if name not in self._edges:
            state = self.states[name]
            self._edges[name] = {
                variant: await self._sent(state, new_parameters(parameters))
                for variant, parameters in state.variants.items()
                if isinstance(parameters, Mapping)
            }
        return self._edges[name]

    async def _sent(self, state: ProviderState, parameters: Mapping[str, Any]) -> "_Sent":
        try:
            record = await self._record(state, state.ask(parameters))
            metadata_sent(record)
            return _Sent(parameters, json.loads(record.value or b"null"))
        except Exception as error:  # noqa: BLE001 - the result has the error
            return _Sent(parameters, None, (f"{type(error).__name__}: {error}",))

    def _run(self, running: Any) -> WireRecord:
        record: WireRecord = asyncio.run_coroutine_threadsafe(running, self.loop).result()
        return record

    def _state(self, states: Sequence[str]) -> ProviderState:
        if len(states) != 1:
            raise LookupError(f"an interaction needs exactly one provider state, this one has {len(states)}")
        [name] = states
        if name not in self.states:
            raise LookupError(f"nobody made the provider state {name!r}: add it, there are {sorted(self.states)}")
        return self.states[name]

    async def _record(self, state: ProviderState, use_case: Awaitable[object]) -> WireRecord:
        before = len(await self.outbox())
        returned = await use_case
        if isinstance(returned, OutboxRecord | bytes | str | dict):
            raise TypeError(
                f"a variant returned a {type(returned).__name__}: let it run the use case, the message is read from "
                "the outbox; one that a test makes proves nothing about the code that publishes"
            )
        written = [wire(row) for row in (await self.outbox())[before:]]
        for record in written:
            check_headers(record)
        self._ids.add(written)
        return _one(written, state.event)


@dataclass(frozen=True)
class _Sent:
    """What a variant asked for, and the message that it led to."""

    parameters: Mapping[str, Any]
    body: Any
    errors: tuple[str, ...] = ()

    def wrong_for(self, read: Mapping[str, Any]) -> tuple[str, ...]:
        """What is not as asked, to a consumer that reads these fields."""
        return self.errors or tuple(differences(read_of(self.parameters, read), self.body))


def _one(written: Sequence[WireRecord], event: type[Any]) -> WireRecord:
    found = [record for record in written if _is_of(record, event)]
    if len(found) == 1:
        return found[0]
    others = [next(iter(texts_of(record, "ce_type")), record.topic) for record in written]
    raise LookupError(f"the use case wrote {len(found)} rows of {name_of(event)}, not 1; its rows: {others or 'none'}")


def _is_of(record: WireRecord, event: Any) -> bool:
    """Whether a record is of this class: by its type, or because the model reads it."""
    if isinstance(getattr(event, "type", None), str):
        return event.type in texts_of(record, "ce_type")
    if not hasattr(event, "model_validate_json"):
        return True
    try:
        event.model_validate_json(record.value or b"")
    except ValueError:
        return False
    return True


def _message(record: WireRecord) -> Reply:
    if not record.value or _json(record.value) in ({}, [], None):
        raise ValueError("the row's value is empty, and a pact without a body would accept it")
    is_json = _json(record.value) is not record.value
    return message(record.value, metadata_sent(record), JSON if is_json else BYTES)


def _json(value: bytes) -> Any:
    """The value's JSON; of Avro, Protobuf and the like the bytes themselves."""
    try:
        return json.loads(value)
    except ValueError:
        return value
