"""The results of Pact's verifier, none of which can be overlooked."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pact import Verifier

from pact_faststream._compat.pact import Found, errors_of, found_by
from pact_faststream.sources import Interaction, NoPactsError, PactToVerify, Result


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
    failures = list(dict.fromkeys(result for result in results if result.fails))
    if failures:
        lines = [line for failure in failures for line in failure.lines()]
        raise ProviderVerificationError("\n".join([f"{provider} doesn't keep what its consumers expect:", *lines]))


def _result(found: Found, pact: PactToVerify) -> Result:
    interaction = Interaction(found.description, found.states)
    return Result(found.consumer, interaction, found.mismatches, pact.pending)
