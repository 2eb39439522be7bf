"""Environments, and which version is in each: deployed, or released and still supported."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from pact_faststream.broker.answers import BrokerError, Deployment, Deployments, Environment, Environments, Link
from pact_faststream.broker.client import Broker
from pact_faststream.broker.revision import version_in_use
from pact_faststream.broker.settings import BrokerSettings
from pact_faststream.broker.versions import known_version

DEPLOYED, RELEASED = "pb:currently-deployed-deployed-versions", "pb:currently-supported-released-versions"


def create_environment(settings: BrokerSettings, name: str, *, is_production: bool) -> str:
    """Make an environment, unless it is there; returns a line for a person. Raises BrokerError."""
    broker = Broker.connect(settings)
    if name in _environments(broker):
        return f"the environment {name} is there already"
    body = {"name": name, "displayName": name.title(), "production": is_production}
    try:
        broker.post(broker.index.link("pb:environments"), body, Environment)
    except BrokerError:
        if name not in _environments(broker):  # otherwise another build was faster
            raise
    return f"made the environment {name}"


def environment_named(broker: Broker, name: str) -> Environment:
    """Raises BrokerError if there is none: a person makes environments, so that a mistyped name is an error."""
    environments = _environments(broker)
    if name not in environments:
        only = f"only {', '.join(sorted(environments))}" if environments else "and no other"
        raise BrokerError(
            f"the broker has no environment {name!r}, {only}: is the name right? "
            f"If so, make it: create-environment {name}"
        )
    return environments[name]


def record_deployment(settings: BrokerSettings, service: str, environment: str, instance: str | None) -> str:
    """Record that this version took the place of the one before, and see that the broker says so.

    With an `instance`, it takes the place of that instance's version alone. Raises BrokerError.
    """
    version, broker = version_in_use(settings), Broker.connect(settings)
    link = _way_to_record(broker, service, version, environment, "pb:record-deployment")
    _record(broker, link, {"applicationInstance": instance} if instance else {})
    where = f"{environment}, instance {instance}" if instance else environment
    return f"recorded that {service} {version} is in {where}"


def record_release(settings: BrokerSettings, service: str, environment: str) -> str:
    """Record that this version was released beside the earlier ones, which stay supported. Raises BrokerError."""
    version, broker = version_in_use(settings), Broker.connect(settings)
    _record(broker, _way_to_record(broker, service, version, environment, "pb:record-release"), {})
    return f"recorded that {service} {version} is released in {environment}"


def record_undeployment(settings: BrokerSettings, service: str, environment: str, instance: str | None) -> str:
    """Record that the service, or one instance of it, isn't in the environment any more. Raises BrokerError."""
    broker = Broker.connect(settings)
    deployed = _there(broker, environment, DEPLOYED, pacticipant=service)
    chosen = [each for each in deployed if each.application_instance == instance]
    if not chosen:
        instances = sorted(each.application_instance or "the one without a name" for each in deployed)
        which = f"instance {instance} of {service}" if instance else f"{service} without an instance's name"
        there = f", only instances {', '.join(instances)}: name one with --instance" if instances else ""
        raise BrokerError(f"{which} is not in {environment}{there}")
    for each in chosen:
        broker.patch(each.link("self"), {"currentlyDeployed": False})
    whose = f"instance {instance} of {service}" if instance else service
    return f"recorded that {whose} is no longer in {environment}"


def record_support_ended(settings: BrokerSettings, service: str, environment: str) -> str:
    """Record that this released version isn't supported any more. Raises BrokerError."""
    version = version_in_use(settings)
    broker = Broker.connect(settings)
    released = _there(broker, environment, RELEASED, pacticipant=service, version=version)
    if not released:
        raise BrokerError(f"{service} {version} is not released in {environment}")
    for each in released:
        broker.patch(each.link("self"), {"currentlySupported": False})
    return f"recorded that {service} {version} is no longer supported in {environment}"


def _way_to_record(broker: Broker, service: str, version: str, environment: str, relation: str) -> Link:
    environment_named(broker, environment)
    for link in known_version(broker, service, version).links_of(relation):
        if link.name == environment:
            return link
    raise BrokerError(f"the broker doesn't say how to record {service} {version} in {environment}")


def _record(broker: Broker, link: Link, body: Mapping[str, str]) -> None:
    recorded = broker.post(link, body, Deployment)
    if not broker.get(recorded.link("self"), Deployment).is_there:
        raise BrokerError("the broker took the record, but doesn't show it")


def _there(broker: Broker, environment: str, relation: str, **asked: str) -> Sequence[Deployment]:
    link = environment_named(broker, environment).link(relation)
    href = f"{link.href}?{urlencode(asked)}"
    found = broker.get(link.model_copy(update={"href": href}), Deployments).embedded
    return [each for each in (*found.deployed_versions, *found.released_versions) if each.is_there]


def _environments(broker: Broker) -> dict[str, Environment]:
    found = broker.get(broker.index.link("pb:environments"), Environments)
    return {environment.name: environment for environment in found.embedded.environments}
