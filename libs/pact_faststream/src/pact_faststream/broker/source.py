"""The pacts that a provider has to verify now, and its results back to the broker."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

from pact_faststream.broker.answers import Link, PactsForVerification, PublishedPact, Resource
from pact_faststream.broker.client import Broker
from pact_faststream.broker.revision import Revision
from pact_faststream.sources import NoPactsError, PactToVerify, Result

WORK_IN_PROGRESS = timedelta(days=90)
"""A feature branch without changes for longer doesn't count as work in progress."""
PACKAGE = "pact-faststream"


@dataclass(frozen=True)
class ChosenPact:
    """A pact that the broker chose, and where its results go."""

    published: PublishedPact
    pending: bool

    @property
    def name(self) -> str:
        """For a person: the consumer and its newest version with this content."""
        return f"{self.published.consumer.name} {self.published.consumer_version}"

    def to_verify(self) -> PactToVerify:
        """The pact for the provider's tests."""
        own = {name: part for name, part in self.published.document.items() if not name.startswith("_")}
        return PactToVerify(own, f"the pact of {self.name}", self.pending)


def chosen_pacts(broker: Broker, provider: str, revision: Revision, one: str | None) -> Sequence[ChosenPact]:
    """The pacts that matter to the provider now; none if nobody expects anything of it.

    These are the pacts of the consumers' main branches, of branches named like the provider's, and of versions that are
    deployed or released; and pacts of work in progress. Work in progress, and a pact that was never verified, are
    pending. The address of `one` pact, as the webhook names it, selects this one alone; it is never pending.

    Raises BrokerError, NoPactsError.
    """
    if one:
        return [ChosenPact(_pact(broker, Link(href=one), provider), pending=False)]
    address = broker.index.link("pb:provider-pacts-for-verification", provider=provider)
    found = broker.ask(address, _selection(revision), PactsForVerification)
    pacts = found.embedded.pacts if found else []
    return [
        ChosenPact(_pact(broker, pact.link("self"), provider), pact.verification_properties.pending) for pact in pacts
    ]


def publish_results(
    broker: Broker, provider: str, revision: Revision, results: Iterable[tuple[ChosenPact, Sequence[Result]]]
) -> None:
    """Publish the results, then name the branch of the version that they are about.

    In this order no version is the head of its branch before its results are there. Raises BrokerError.
    """
    for pact, found in results:
        address = pact.published.link("pb:publish-verification-results")
        broker.post(address, _results(pact.published, revision, found), Resource)
    named = {"pacticipant": provider, "branch": revision.branch, "version": revision.version}
    broker.put(broker.index.link("pb:pacticipant-branch-version", **named), {})


def _pact(broker: Broker, link: Link, provider: str) -> PublishedPact:
    pact = broker.get(link, PublishedPact)
    if pact.provider.name != provider:
        raise NoPactsError(f"the pact at {link.href} is about {pact.provider.name}, not {provider}")
    return pact


def _selection(revision: Revision) -> Mapping[str, Any]:
    return {
        "includePendingStatus": True,
        "includeWipPactsSince": (datetime.now(UTC).date() - WORK_IN_PROGRESS).isoformat(),
        "consumerVersionSelectors": [{"mainBranch": True}, {"matchingBranch": True}, {"deployedOrReleased": True}],
        "providerVersionBranch": revision.branch,
    }


def _results(pact: PublishedPact, revision: Revision, results: Sequence[Result]) -> Mapping[str, Any]:
    return {
        "providerApplicationVersion": revision.version,
        "success": all(result.ok for result in results),
        "testResults": list(_tests(pact, results)),
        "verifiedBy": {"implementation": PACKAGE, "version": version(PACKAGE)},
    }


def _tests(pact: PublishedPact, results: Sequence[Result]) -> Iterator[Mapping[str, Any]]:
    """One for each interaction, with the mismatches of all its variants."""
    for interaction, number in pact.interaction_ids:
        found = [result for result in results if result.interaction == interaction]
        mismatches = [
            {"description": f"{result.variant}: {mismatch}" if result.variant else mismatch}
            for result in found
            for mismatch in result.mismatches
        ]
        yield {
            "interactionId": number,
            "interactionDescription": interaction.description,
            "success": bool(found) and not mismatches,
            "mismatches": mismatches,
        }
