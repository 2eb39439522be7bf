"""Which container looks for which other one, and where: that one must listen there."""

import json
import re
from collections.abc import Iterator

import pytest

from tools.scratch import ROOT

from ..compose import CONTAINERS, ENVIRONMENTS
from ..defaults import settings_of

KAFKA = ENVIRONMENTS["kafka"]
LISTENERS = dict(listener.split("://:") for listener in KAFKA["KAFKA_LISTENERS"].split(","))
SILENT = {"postgres": ["5432"], "pact-broker-postgres": ["5432"], "kafka": [LISTENERS["INTERNAL"]]}
"""What containers listen to that others are to use, and this machine isn't: Kafka sends its own clients elsewhere."""
EXPOSED_BY_SANDBOX = re.findall(r"^EXPOSE (.*)$", (ROOT / "sandbox/Dockerfile").read_text(), re.MULTILINE)[0].split()


def listening(*, to_http: bool) -> Iterator[tuple[str, str]]:
    """Where a container can reach another one: by the ports that are published, which are those that it listens to."""
    for name, service in CONTAINERS.items():
        if name in SILENT and not to_http:
            yield from ((name, port) for port in SILENT[name])
        elif name not in SILENT and "ports" in service:
            ports = [port for port in service["ports"] if ("SMTP_PORT" in port) is not to_http]
            yield from ((name, port.rpartition(":")[2]) for port in ports)
        elif to_http and "SANDBOX_IMAGE" in service["image"]:
            yield from ((name, port) for port in EXPOSED_BY_SANDBOX)


def addresses(variable: str, value: str) -> Iterator[tuple[bool, str]]:
    """Those in a variable's value, each with whether it's asked by HTTP."""
    if "$" in value:
        return  # a person's own
    if variable.endswith("_SERVICES"):
        yield from ((True, url.removeprefix("http://")) for url in json.loads(value).values())
    elif variable.endswith("_URL"):
        scheme, _, rest = value.partition("://")
        yield scheme == "http", rest.rpartition("@")[2].partition("/")[0]
    elif variable.endswith("SERVERS"):
        yield from ((False, address) for address in value.split(","))
    elif variable.endswith("_SMTP_HOST"):
        yield False, f"{value}:{settings_of('notifications').model_fields['smtp_port'].default}"
    elif variable.endswith("HOST"):
        yield False, f"{value}:5432"


ADDRESSES = [
    (name, variable, *address)
    for name, environment in ENVIRONMENTS.items()
    for variable, value in environment.items()
    for address in addresses(variable, value or "")
]


def test_the_addresses_of_other_containers_are_found() -> None:
    found = {variable.partition("_")[2] for _, variable, *_ in ADDRESSES}

    assert {"DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "GATEWAY_URL", "MAILBOX_URL", "SMTP_HOST", "SERVICES"} <= found


@pytest.mark.parametrize(("name", "variable", "by_http", "address"), ADDRESSES)
def test_an_address_is_that_of_a_container_which_listens_there(
    name: str, variable: str, *, by_http: bool, address: str
) -> None:
    host, _, port = address.partition(":")

    assert (host, port) in set(listening(to_http=by_http)), f"{name} looks for it there by {variable}"


def test_kafka_tells_its_clients_where_they_can_reach_it() -> None:
    """A client that was let in by one address goes on with the one that it's told."""
    told = dict(each.split("://") for each in KAFKA["KAFKA_ADVERTISED_LISTENERS"].split(","))
    [published] = CONTAINERS["kafka"]["ports"]

    assert told["INTERNAL"] == f"kafka:{LISTENERS['INTERNAL']}"
    assert published == f"{told['EXTERNAL']}:{LISTENERS['EXTERNAL']}"
    assert told.keys() == LISTENERS.keys() - {"CONTROLLER"}


THREE_BROKERS = {
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR",
}
"""What Kafka sets for three brokers where nobody sets it: 3 copies of its own topics, of which 2 must be there."""


def test_kafka_needs_no_more_brokers_than_there_are() -> None:
    [controller] = KAFKA["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(",")
    copies = {name: KAFKA[name] for name in KAFKA if name.endswith(("REPLICATION_FACTOR", "MIN_ISR"))}
    asked = {name: ENVIRONMENTS["kafka-topics"][name] for name in ("REPLICATION_FACTOR", "MIN_INSYNC_REPLICAS")}

    assert controller == f"{KAFKA['KAFKA_NODE_ID']}@localhost:{LISTENERS['CONTROLLER']}"
    assert copies.keys() >= THREE_BROKERS
    assert set((copies | asked).values()) == {"1"}
