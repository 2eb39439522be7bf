"""A provider's pacts from the broker, and its results back to it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from pact import Verifier

from pact_faststream.broker.answers import BrokerError, Link, Matrix, PactsForVerification, PublishedPact
from pact_faststream.broker.client import Broker
from pact_faststream.broker.revision import Revision, revision_to_publish
from pact_faststream.broker.settings import BrokerSettings, load_settings
from pact_faststream.sources import NoConsumersError, NoPactsError, PactDocument

WORK_IN_PROGRESS = timedelta(days=90)
"""A feature branch without changes for longer doesn't count as work in progress."""


@dataclass(frozen=True)
class PublishedResult:
    """What the broker holds of one pact and this provider version."""

    pact: str
    success: bool


@dataclass(frozen=True)
class BrokerSource:
    """The pacts that matter to a provider now; a PactSource.

    These are the pacts of the consumers' main branches, of branches named like the provider's, and of versions that are
    deployed or released; and pacts of work in progress. Work in progress, and a pact that was never verified, can't
    fail the build. PACT_URL selects one pact alone, which can fail the build.
    """

    broker: Broker
    settings: BrokerSettings
    revision: Revision
    _pacts: dict[str, list[PublishedPact]] = field(default_factory=dict)

    @property
    def publishes(self) -> bool:
        """See PactSource."""
        return True

    def add_to(self, verifier: Verifier, provider: str, *, publish: bool) -> None:
        """Raises NoPactsError, BrokerError."""
        self.pacts(provider)
        if self.settings.url:
            self._add_one(verifier, self.broker.at_home(self.settings.url))
        else:
            self._add_selected(verifier)
        if publish:
            verifier.set_publish_options(self.revision.version, None, self.revision.branch)

    def confirm_published(self, provider: str) -> None:
        """Raises BrokerError unless each pact has a result of this provider version."""
        self.results(provider)

    def results(self, provider: str) -> list[PublishedResult]:
        """The broker's results. Raises BrokerError if a pact has no result of this provider version."""
        return [self._result(pact, provider) for pact in self.pacts(provider)]

    def pacts(self, provider: str) -> list[PublishedPact]:
        """The pacts to verify, as the broker first named them: once verified, work in progress is no longer named.

        Raises NoConsumersError, NoPactsError, BrokerError.
        """
        if provider not in self._pacts:
            links = [(Link(href=self.settings.url), False)] if self.settings.url else list(self._selected(provider))
            self._pacts[provider] = [self._pact(link, provider, pending=pending) for link, pending in links]
        return self._pacts[provider]

    def documents(self, provider: str) -> list[PactDocument]:
        """See ReadableSource. Raises NoConsumersError, NoPactsError, BrokerError."""
        return [
            PactDocument(pact.model_dump(include={"consumer", "provider", "interactions", "metadata"}), pact.pending)
            for pact in self.pacts(provider)
        ]

    def _pact(self, link: Link, provider: str, *, pending: bool) -> PublishedPact:
        pact = self.broker.get(link, PublishedPact)
        if pact.provider.name != provider:
            raise NoPactsError(f"the pact at {link.href} is about {pact.provider.name}, not {provider}")
        if not pact.interactions and not pact.messages:
            raise NoPactsError(f"the pact at {link.href} has no interaction: nothing would be verified")
        return pact.model_copy(update={"pending": pending})

    def _selected(self, provider: str) -> Iterator[tuple[Link, bool]]:
        """The address of each pact, and whether it is pending."""
        address = self.broker.index.link("pb:provider-pacts-for-verification", provider=provider)
        found = self.broker.post(address, self._selection(), PactsForVerification)
        if found is None or not found.embedded.pacts:
            known = "knows no provider" if found is None else "has no pact to verify for"
            raise NoConsumersError(
                f"the broker {known} {provider!r}: the consumers publish their pacts first (is the name right?)"
            )
        for pact in found.embedded.pacts:
            yield pact.link("self"), pact.verification_properties.pending

    def _selection(self) -> Mapping[str, Any]:
        """The same selection as in _add_selected."""
        return {
            "includePendingStatus": True,
            "includeWipPactsSince": _work_in_progress_since(),
            "consumerVersionSelectors": [{"mainBranch": True}, {"matchingBranch": True}, {"deployedOrReleased": True}],
            "providerVersionBranch": self.revision.branch,
        }

    def _add_selected(self, verifier: Verifier) -> None:
        address = self.settings.broker_base_url
        if self.settings.token:
            builder = verifier.broker_source(address, token=self.settings.token, selector=True, use_env=False)
        elif self.settings.login:
            user, password = self.settings.login
            builder = verifier.broker_source(address, username=user, password=password, selector=True, use_env=False)
        else:
            builder = verifier.broker_source(address, selector=True, use_env=False)
        builder.consumer_version(main_branch=True).consumer_version(matching_branch=True)
        builder.consumer_version(deployed_or_released=True).include_pending()
        builder.include_wip_since(_work_in_progress_since()).provider_branch(self.revision.branch).build()

    def _add_one(self, verifier: Verifier, url: str) -> None:
        if self.settings.token:
            verifier.add_source(url, token=self.settings.token)
        elif self.settings.login:
            user, password = self.settings.login
            verifier.add_source(url, username=user, password=password)
        else:
            verifier.add_source(url)

    def _result(self, pact: PublishedPact, provider: str) -> PublishedResult:
        version = self.revision.version
        address = pact.link("pb:matrix-for-consumer-version").href
        asked = f"{address}&{_selector(provider, version)}"
        for row in self.broker.get(Link(href=asked), Matrix).matrix:
            named = (row.consumer.name, str(row.provider))
            if named == (pact.consumer.name, f"{provider} {version}") and row.verification_result:
                return PublishedResult(str(row.consumer), row.verification_result.success)
        raise BrokerError(
            f"the broker has no result of {provider} {version} for the pact of {pact.consumer.name} "
            f"{pact.consumer_version}: it was not verified, or its result was refused (may this user write?)"
        )


def source_from_environment() -> BrokerSource:
    """The broker in PACT_BROKER_BASE_URL, for `--pact-broker`. Raises BrokerSettingError, BrokerError."""
    settings = load_settings()
    revision = revision_to_publish(settings)
    return BrokerSource(Broker.connect(settings), settings, revision)


def _work_in_progress_since() -> str:
    return (datetime.now(UTC).date() - WORK_IN_PROGRESS).isoformat()


def _selector(pacticipant: str, version: str) -> str:
    return urlencode({"q[][pacticipant]": pacticipant, "q[][version]": version})
