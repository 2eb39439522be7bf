"""What Pact's verifier can say beside the mismatches that it finds. The real one can't be made to fail like this."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest
from pact_faststream.sources import NoPactsError, PactToVerify
from pact_faststream.verification import ProviderVerificationError, verified

PACT = PactToVerify({"interactions": [{"description": "an order"}]}, "here")
KEPT = {"consumer": "mailer", "description": "an order", "pending": False, "result": "OK"}
BROKEN = {**KEPT, "result": "Error", "mismatch": {"mismatches": [{"path": "$.total", "mismatch": "is missing"}]}}


class Failing:
    """A verifier that ends by an error, with these results."""

    def __init__(self, *results: Mapping[str, Any]) -> None:
        self.results = {"interactionResults": results, "errors": []}

    def add_source(self, path: Path) -> Self:
        assert path.exists()
        return self

    def verify(self) -> None:
        raise RuntimeError("see the output")

    def output(self, *, strip_ansi: bool) -> str:
        assert strip_ansi
        return "the plugin crashed\n"


def test_a_verifier_that_fails_although_all_is_kept_is_no_success() -> None:
    verifier: Any = Failing(KEPT, KEPT)

    with pytest.raises(ProviderVerificationError, match=r"\Athe plugin crashed\Z"):
        verified(verifier, PACT)


def test_a_verifier_that_fails_before_its_first_result_has_verified_nothing() -> None:
    verifier: Any = Failing()

    with pytest.raises(NoPactsError, match="the plugin crashed"):
        verified(verifier, PACT)


def test_what_is_not_kept_is_told_by_the_results() -> None:
    verifier: Any = Failing(KEPT, BROKEN)

    assert [result.mismatches for result in verified(verifier, PACT)] == [(), ("$.total: is missing",)]
