"""The results of Pact's verifier, none of which can be overlooked."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pact import Verifier

from pact_faststream._compat.pact import Found, errors_of, found_by
from pact_faststream.sources import Interaction, NoPactsError, PactToVerify, Result

TOLD = 3
"""How many variants of an interaction that fail are told: more say nothing new."""


class ProviderVerificationError(AssertionError):
    """The provider doesn't keep the contract; the message names consumer, interaction, variant and each mismatch."""


def verified(verifier: Verifier, pact: PactToVerify) -> Sequence[Result]:
    """Run a verifier on one pact and read its results. Raises NoPactsError if it found nothing to verify."""
    problem = ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pact.json"
        path.write_text(json.dumps(pact.document))
        try:
            verifier.add_source(path).verify()
        except RuntimeError:
            problem = verifier.output(strip_ansi=True).strip()
    results = [_result(found, pact) for found in found_by(verifier)]
    if not results:
        raise NoPactsError(f"nothing was verified: {problem or 'there is no interaction'} {errors_of(verifier)}")
    if problem and all(result.ok for result in results):
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


def _result(found: Found, pact: PactToVerify) -> Result:
    interaction = Interaction(found.description, found.states)
    return Result(found.consumer, interaction, found.mismatches, pact.pending)
