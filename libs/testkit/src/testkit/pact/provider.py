"""The provider's side: the message offered to Pact is the one that the use case really wrote to its outbox."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pact._server
from chassis.envelope import OutgoingRecord
from pact import Verifier

from testkit.pact.metadata import metadata_sent

Produce = Callable[[Mapping[str, Any]], Awaitable[OutgoingRecord]]
"""Runs a use case with a provider state's parameters and returns its outbox row."""


class ProviderVerificationError(AssertionError):
    """The provider doesn't keep the contract, or nothing was verified; the message holds Pact's report."""


class _ClosingServer(pact._server.HandlerHttpServer[Any]):  # noqa: SLF001  # the original leaks its socket
    """Closes its socket, and polls for its end every 5 ms: 500 ms of each run was this wait."""

    def serve_forever(self, poll_interval: float = 0.005) -> None:
        """See HandlerHttpServer."""
        super().serve_forever(poll_interval)
        self.server_close()


pact._server.HandlerHttpServer = _ClosingServer  # type: ignore[misc]  # noqa: SLF001  # as above


async def verify_provider(provider: str, pact_file: Path, states: Mapping[str, Produce]) -> int:
    """Verify one pact file; returns the number of interactions.

    ``states`` has a producer for each provider state that the pact names. Raises ProviderVerificationError when the
    file is missing, names another provider, has no interaction, names an unknown state, or a message doesn't match.
    """
    interactions = _interactions(provider, pact_file, states)
    loop, errors = asyncio.get_running_loop(), []

    def produce(name: str, metadata: Mapping[str, Any] | None) -> Any:
        try:
            state = _state_of(name, metadata)
            future = asyncio.run_coroutine_threadsafe(_awaited(states[state["name"]](state.get("params", {}))), loop)
            record = future.result()
        except Exception as error:
            # it would become an HTTP 500 page that Pact takes for the message
            errors.append(error)
            raise
        return {"contents": record.value, "metadata": dict(metadata_sent(record)), "content_type": "application/json"}

    # not on this loop, which the producers need
    verifier = Verifier(provider).add_source(pact_file).message_handler(produce)
    report = await asyncio.to_thread(_verify, verifier)
    if errors:
        raise errors[0]
    verified = len(verifier.results.get("interactionResults", ()))
    if report is not None or verified != interactions:
        raise ProviderVerificationError(report or f"{verified} of {interactions} interactions were verified")
    return verified


def _interactions(provider: str, pact_file: Path, states: Mapping[str, Produce]) -> int:
    if not pact_file.exists():
        raise ProviderVerificationError(f"there is no pact file {pact_file.name}: run `make contracts`")
    document = json.loads(pact_file.read_text())
    if document["provider"]["name"] != provider:
        raise ProviderVerificationError(f"{pact_file.name} is about {document['provider']['name']}, not {provider}")
    interactions = document["interactions"]
    if not interactions:
        raise ProviderVerificationError(f"{pact_file.name} has no interaction: nothing would be verified")
    named = {state["name"] for interaction in interactions for state in interaction.get("providerStates", ())}
    if unknown := sorted(named - states.keys()):
        raise ProviderVerificationError(f"no producer for the provider state {', '.join(unknown)}: add it to `states`")
    return len(interactions)


def _state_of(name: str, metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    states = (metadata or {}).get("providerStates") or []
    if len(states) != 1:
        raise ProviderVerificationError(f"{name!r} names {len(states)} provider states, not 1")
    state: Mapping[str, Any] = states[0]
    return state


def _verify(verifier: Verifier) -> str | None:
    try:
        verifier.verify()
    except RuntimeError:
        return verifier.output(strip_ansi=True)
    return None


async def _awaited(result: Awaitable[OutgoingRecord]) -> OutgoingRecord:
    return await result
