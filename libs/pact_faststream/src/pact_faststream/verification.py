"""The results of Pact's verifier, none of which can be overlooked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pact import Verifier

from pact_faststream._compat.pact import Found, errors_of, found_by
from pact_faststream.sources import NoPactsError

TOLD = 3
"""How many variants of an interaction that fail are told: more say nothing new."""


class ProviderVerificationError(AssertionError):
    """The provider doesn't keep the contract; the message names consumer, interaction, variant and each mismatch."""


@dataclass(frozen=True)
class Interaction:
    """What identifies an interaction among the pacts of one provider and consumer."""

    description: str
    states: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """One interaction with one variant; the failure of a `pending` one doesn't count against the provider."""

    consumer: str
    interaction: Interaction
    mismatches: tuple[str, ...] = ()
    pending: bool = False
    variant: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The values that the consumer asks for."""

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the interaction's provider states."""
        return self.interaction.states

    @property
    def ok(self) -> bool:
        """Whether the message was as expected."""
        return not self.mismatches

    @property
    def fails(self) -> bool:
        """Whether this result blocks the provider's release."""
        return not self.ok and not self.pending

    def lines(self) -> Iterator[str]:
        """The result as lines for a person."""
        variant = f" ({self.variant})" if self.variant else ""
        yield f"  {self.consumer} expects {self.interaction.description!r}{variant}:"
        for mismatch in self.mismatches:
            yield f"    {mismatch}"


def verified(verifier: Verifier) -> Sequence[Result]:
    """Run a verifier and read its results. Raises NoPactsError if it found nothing to verify."""
    problem = ""
    try:
        verifier.verify()
    except RuntimeError:
        problem = verifier.output(strip_ansi=True).strip()
    results = [_result(found) for found in found_by(verifier)]
    if not results:
        raise NoPactsError(f"nothing was verified: {problem or 'there is no interaction'} {errors_of(verifier)}")
    if problem and all(result.ok or result.pending for result in results):
        raise ProviderVerificationError(problem)
    return results


def raise_for(provider: str, results: Sequence[Result]) -> None:
    """Raise ProviderVerificationError, which names each interaction that fails, if any does."""
    failures: dict[tuple[str, Interaction], dict[Result, None]] = {}
    for result in results:
        if result.fails:
            failures.setdefault((result.consumer, result.interaction), {})[result] = None
    if failures:
        lines = [line for failed in failures.values() for line in _told(list(failed))]
        raise ProviderVerificationError("\n".join([f"{provider} doesn't keep what its consumers expect:", *lines]))


def _told(failed: Sequence[Result]) -> Iterator[str]:
    for result in failed[:TOLD]:
        yield from result.lines()
    if len(failed) > TOLD:
        yield f"    ... and {len(failed) - TOLD} more variants"


def _result(found: Found) -> Result:
    interaction = Interaction(found.description, found.states)
    return Result(found.consumer, interaction, found.mismatches, found.pending)
