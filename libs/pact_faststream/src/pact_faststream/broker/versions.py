"""The versions and branches of a service, also of one without pacts."""

import os

from pact_faststream.broker.answers import BrokerError, ParticipantResource, VersionResource
from pact_faststream.broker.client import Broker
from pact_faststream.broker.revision import revision_to_publish
from pact_faststream.broker.settings import BrokerSettings


def known_version(broker: Broker, service: str, version: str) -> VersionResource:
    """Raises BrokerError if the broker never saw this version of the service."""
    address = broker.index.link("pb:pacticipant-version", pacticipant=service, version=version)
    found = broker.find(address, VersionResource)
    if found is None:
        raise BrokerError(
            f"the broker knows no version {version} of {service}: "
            "publish its pacts or verify those of its consumers under this version first, or register-version"
        )
    return found


def register_version(settings: BrokerSettings, service: str) -> str:
    """Make the version known under its branch, with the addresses of its build and its code. Raises BrokerError.

    A service without any pact gets known only so: `can-i-deploy` and `record-deployment` need a version.
    """
    revision = revision_to_publish(settings)
    broker = Broker.connect(settings)
    named = {"pacticipant": service, "version": revision.version}
    broker.put(broker.index.link("pb:pacticipant-branch-version", **named, branch=revision.branch), {})
    if build := settings.build_url or _github("{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"):
        broker.patch(broker.index.link("pb:pacticipant-version", **named), {"buildUrl": build})
    if code := settings.repository_url or _github("{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}"):
        broker.patch(broker.index.link("pb:pacticipant", pacticipant=service), {"name": service, "repositoryUrl": code})
    addresses = "".join(f"; {what}: {url}" for what, url in {"build": build, "code": code}.items() if url)
    return f"registered {service}: version {revision.version}, branch {revision.branch}{addresses}"


def delete_branch(settings: BrokerSettings, service: str, branch: str) -> str:
    """Delete a branch, not its versions and results: its pacts stop being work in progress. Raises BrokerError."""
    broker = Broker.connect(settings)
    participant = broker.find(broker.index.link("pb:pacticipant", pacticipant=service), ParticipantResource)
    if participant is None:
        raise BrokerError(f"the broker knows no {service}")
    if participant.main_branch == branch:
        raise BrokerError(f"{branch} is the main branch of {service}: its pacts are what every provider verifies")
    if broker.delete(broker.index.link("pb:pacticipant-branch", pacticipant=service, branch=branch)):
        return f"deleted the branch {branch} of {service}"
    return f"{service} has no branch {branch}: there is nothing to delete"


def _github(address: str) -> str | None:
    """An address at GitHub, with its variables; None where GitHub's CI isn't what runs."""
    variables = {name: value for name, value in os.environ.items() if value}
    try:
        return address.format_map(variables)
    except KeyError:
        return None
