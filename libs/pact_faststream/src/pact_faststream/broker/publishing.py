"""Publishes all pacts of a consumer together, under the version that was tested."""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pact_faststream.broker.answers import BrokerError, ConflictError, Resource, VersionResource
from pact_faststream.broker.client import Broker
from pact_faststream.broker.revision import Revision, revision_to_publish
from pact_faststream.broker.settings import BrokerSettings

_STAYS = "and stays as it is: a version's pacts never change. Commit the change, so that it has a version of its own"


@dataclass(frozen=True)
class PactDocument:
    path: Path
    consumer: str
    provider: str
    document: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises BrokerError."""
        try:
            document = json.loads(path.read_text())
            return cls(path, document["consumer"]["name"], document["provider"]["name"], document)
        except (OSError, ValueError, TypeError, KeyError):
            raise BrokerError(f"{path} is no pact file") from None

    def as_contract(self) -> Mapping[str, str]:
        """The same bytes that `pact broker publish` sends."""
        content = json.dumps(self.document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return {
            "consumerName": self.consumer,
            "providerName": self.provider,
            "content": b64encode(content.encode()).decode(),
            "contentType": "application/json",
            "specification": "pact",
            "onConflict": "overwrite",
        }


def publish(settings: BrokerSettings, service: str, folder: Path) -> str:
    """Publish all pacts of a consumer or none; returns a line for a person. Raises BrokerError, BrokerSettingError.

    One request sends all pacts. `pact broker publish` sends one request a pact, of which a later one may fail alone.
    """
    pacts = [PactDocument.read(path) for path in sorted(folder.glob("*.json"))]
    own = [pact for pact in pacts if pact.consumer == service]
    if not own:
        return _nothing_to_publish(service, pacts, folder)
    revision = revision_to_publish(settings)
    broker = Broker.connect(settings)
    _refuse_fewer(broker, service, revision, own)
    published = _send(broker, service, revision, own)
    if len(published.links_of("pb:contracts")) != len(own):
        raise BrokerError(f"the Pact Broker did not say that it took {', '.join(pact.path.name for pact in own)}")
    providers = ", ".join(pact.provider for pact in own)
    return f"published what {service} expects of {providers}: version {revision.version}, branch {revision.branch}"


def _refuse_fewer(broker: Broker, service: str, revision: Revision, pacts: list[PactDocument]) -> None:
    """The broker never forgets a version's pact, so a version that is published with one less would still have it."""
    address = broker.index.link("pb:pacticipant-version", pacticipant=service, version=revision.version)
    known = broker.find(address, VersionResource)
    missing = set(known.providers) - {pact.provider for pact in pacts} if known else ()
    if missing:
        raise BrokerError(
            f"version {revision.version} of {service} is already published with a pact with "
            f"{', '.join(sorted(missing))} as well, {_STAYS}"
        )


def _send(broker: Broker, service: str, revision: Revision, pacts: list[PactDocument]) -> Resource:
    body = {
        "pacticipantName": service,
        "pacticipantVersionNumber": revision.version,
        "branch": revision.branch,
        "contracts": [pact.as_contract() for pact in pacts],
    }
    try:
        return broker.post(broker.index.link("pb:publish-contracts"), body, Resource)
    except ConflictError:
        raise BrokerError(
            f"version {revision.version} of {service} is already published with other pacts, {_STAYS}"
        ) from None


def _nothing_to_publish(service: str, pacts: list[PactDocument], folder: Path) -> str:
    if any(pact.provider == service for pact in pacts):
        return f"nothing to publish: {service} is a provider and expects nothing of others"
    names = sorted({name for pact in pacts for name in (pact.consumer, pact.provider)})
    raise BrokerError(f"no pact file in {folder} is about {service!r}, only about {', '.join(names) or 'nobody'}")
