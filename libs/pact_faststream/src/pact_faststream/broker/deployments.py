"""Environments, and which version is deployed to each."""

from pact_faststream._compat.pact_cli import version_of
from pact_faststream.broker.answers import BrokerError, Deployment, Resource
from pact_faststream.broker.client import Broker
from pact_faststream.broker.command_line import ask_pact, run_pact
from pact_faststream.broker.revision import version_in_use
from pact_faststream.broker.settings import BrokerSettings

ENVIRONMENTS: dict[str, list[str]] = {"test": [], "production": ["--production"]}
"""Made if they are missing. A person makes any other environment, so a mistyped name is an error."""


def make_environments(broker: Broker, settings: BrokerSettings, wanted: str) -> None:
    """Make the missing ones of ENVIRONMENTS. Raises BrokerError if `wanted` still doesn't exist."""
    known = broker.environments()
    missing = [name for name in ENVIRONMENTS if name not in known]
    for name in missing:
        try:
            named = ("--name", name, "--display-name", name.title())
            run_pact(settings, "create-environment", *named, *ENVIRONMENTS[name])
        except BrokerError:
            if name not in broker.environments():  # otherwise another build was faster
                raise
    if wanted not in {*known, *missing}:
        raise BrokerError(
            f"the broker has no environment {wanted!r}, only {', '.join(sorted({*known, *missing}))}: "
            f"is the name right? If so: pact broker create-environment --name {wanted}"
        )


def record_deployment(settings: BrokerSettings, service: str, environment: str) -> str:
    """Record that this version is in the environment, and see that the broker says so. Raises BrokerError."""
    version = version_in_use(settings)
    broker = Broker.connect(settings)
    make_environments(broker, settings, environment)
    address = broker.index.link("pb:pacticipant-version", pacticipant=service, version=version)
    if broker.find(address, Resource) is None:
        raise BrokerError(
            f"the broker knows no version {version} of {service}: "
            "publish its pacts or verify those of its consumers under this version first"
        )
    asked = ("record-deployment", *version_of(service, version), "--environment", environment)
    deployment = ask_pact(settings, Deployment, *asked)
    recorded = [link.href for link in broker.get(address, Resource).links_of("pb:deployed-environments")]
    if not deployment.currently_deployed or deployment.link("self").href not in recorded:
        raise BrokerError(
            f"the broker took the deployment of {service} {version} to {environment}, but doesn't show it"
        )
    return f"recorded that {service} {version} is in {environment}"
