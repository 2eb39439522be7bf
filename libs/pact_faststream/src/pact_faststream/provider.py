"""The provider's side: the message offered to Pact is the one that the use case really wrote to its outbox."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pact import Verifier

from pact_faststream._compat.pact import message_asked
from pact_faststream.callbacks import MESSAGE, Reply, message, served
from pact_faststream.metadata import metadata_sent
from pact_faststream.records import OutboxRecord, PublishedType
from pact_faststream.sources import Interaction, PactSource, PactToVerify, Result
from pact_faststream.verification import raise_for, verified

Produce = Callable[..., Awaitable[object]]
"""Runs a use case; called with the provider state's parameters by name."""

Outbox = Callable[[], Awaitable[Sequence[OutboxRecord]]]
"""All rows of the outbox so far, oldest first, as the relay sends them."""


@dataclass(frozen=True)
class ProviderState:
    """A provider state: the event that it leads to, and every way in which the service can publish that event.

    A verification sees only the messages of the variants. A null, another member of an enum or a second item is checked
    only if a variant's message has it. `variants` has a use case by name.
    """

    event: type[PublishedType]
    variants: Mapping[str, Produce]

    def __post_init__(self) -> None:
        if not self.variants:
            raise ValueError(f"a provider state of {self.event.type} needs at least one variant")


async def verify_provider(
    provider: str, source: PactSource, states: Mapping[str, ProviderState], *, outbox: Outbox
) -> Sequence[Result]:
    """Verify everything that the source's consumers expect, with every variant; `states` by provider state.

    Returns one result for each interaction and variant. Raises ProviderVerificationError where an interaction that is
    not pending fails, naming the variant; NoPactsError if there is nothing to verify. If the source publishes, one more
    run publishes the result: that of a variant that failed, if any did.
    """
    answers = _Answers(states, outbox, asyncio.get_running_loop())
    results: list[Result] = []
    for pact in source.pacts(provider):
        found: list[Result] = []
        for number in range(max((len(state.variants) for state in states.values()), default=1)):
            found += await _run(provider, pact, answers, dict.fromkeys(states, number))
        source.keep(pact, found)
        results += found
    raise_for(provider, results)
    return results


async def _run(provider: str, pact: PactToVerify, answers: "_Answers", chosen: Mapping[str, int]) -> Sequence[Result]:
    answers.begin(chosen)
    with served({MESSAGE: answers.answer}) as port:
        verifier = Verifier(provider, host="127.0.0.1").add_transport(protocol="message", port=port, path=MESSAGE)
        # in a thread, because the use cases need this loop
        results = await asyncio.to_thread(verified, verifier, pact)
    return [replace(result, **answers.made.get(result.interaction, {})) for result in results]


@dataclass
class _Answers:
    """Answers Pact in its own thread by running use cases on the test's loop."""

    states: Mapping[str, ProviderState]
    outbox: Outbox
    loop: asyncio.AbstractEventLoop
    chosen: Mapping[str, int] = field(default_factory=dict)
    made: dict[Interaction, dict[str, Any]] = field(default_factory=dict)

    def begin(self, chosen: Mapping[str, int]) -> None:
        """Choose a variant, by number, for each state; a state with fewer variants uses its last one."""
        self.chosen = chosen
        self.made = {}

    def answer(self, request: Mapping[str, Any]) -> Reply:
        """Give the message that Pact asks for: by description, with its provider states."""
        description, states = message_asked(request)
        made = self.made[Interaction(description, tuple(name for name, _ in states))] = {}
        try:
            state, number = self._state([name for name, _ in states])
            made["variant"] = list(state.variants)[number]
            [(_, parameters)] = states
            written = self._written(state.variants[made["variant"]], parameters)
            records = asyncio.run_coroutine_threadsafe(written, self.loop).result()
            return _message(_one(records, state.event))
        except Exception as error:
            # this has failed, even if Pact takes the page with status 500 for a message and accepts it
            made["mismatches"] = (f"{type(error).__name__}: {error}",)
            raise

    def _state(self, states: Sequence[str]) -> tuple[ProviderState, int]:
        if len(states) != 1:
            raise LookupError(f"an interaction needs exactly one provider state, this one has {len(states)}")
        [name] = states
        if name not in self.states:
            raise LookupError(f"nobody made the provider state {name!r}: add it, there are {sorted(self.states)}")
        state = self.states[name]
        return state, min(self.chosen[name], len(state.variants) - 1)

    async def _written(self, produce: Produce, parameters: Mapping[str, Any]) -> Sequence[OutboxRecord]:
        before = len(await self.outbox())
        returned = await produce(**parameters)
        if isinstance(returned, OutboxRecord | bytes | str | dict):
            raise TypeError(
                f"a variant returned a {type(returned).__name__}: let it run the use case, the message is read from "
                "the outbox; one that a test makes proves nothing about the code that publishes"
            )
        return (await self.outbox())[before:]


def _one(written: Sequence[OutboxRecord], event: type[PublishedType]) -> OutboxRecord:
    found = [record for record in written if record.headers.get("ce_type") == event.type]
    if len(found) == 1:
        return found[0]
    others = [record.headers.get("ce_type", "none") for record in written]
    raise LookupError(f"the use case wrote {len(found)} rows of {event.type}, not 1; its rows: {others or 'none'}")


def _message(record: OutboxRecord) -> Reply:
    if not record.value or json.loads(record.value) in ({}, [], None):
        raise ValueError("the row's value is empty, and a pact without a body would accept it")
    return message(record.value, metadata_sent(record))
