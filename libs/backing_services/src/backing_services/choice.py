"""Chooses where PostgreSQL and Kafka come from: an address in the environment, else a kind, else embedded.

`TEST_DATABASE_URL` and `TEST_KAFKA_BOOTSTRAP_SERVERS` name running systems, which must be marked as test systems
(see README, Environment). `BACKING_POSTGRES` is embedded or container; `BACKING_KAFKA` embedded, process or container.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from backing_services._test_systems import NotATestSystemError, refuse_unless_test_system
from backing_services.kafka import ApacheKafka, ContainerKafka, GivenKafka, KafkaCluster, MockKafka
from backing_services.kafka.apache import why_unavailable
from backing_services.postgres import ContainerPostgres, EmbeddedPostgres, GivenPostgres, PostgresError, PostgresServer

DATABASE_URL = "TEST_DATABASE_URL"
BOOTSTRAP_SERVERS = "TEST_KAFKA_BOOTSTRAP_SERVERS"
POSTGRES_KIND = "BACKING_POSTGRES"
KAFKA_KIND = "BACKING_KAFKA"


class WrongChoiceError(ValueError):
    """An environment variable asks for something that doesn't exist."""


@dataclass(frozen=True)
class Unavailable:
    """Something is missing here: `what`, as `REQUIRE` names it (see plugin.py), and why."""

    what: str
    why: str


def choose_postgres() -> PostgresServer:
    """Return the chosen PostgreSQL, not started yet. Raises WrongChoiceError, NotATestSystemError."""
    if url := os.environ.get(DATABASE_URL):
        refuse_unless_test_system(url)
        return GivenPostgres(url)
    kind = _kind(POSTGRES_KIND, "embedded", "container")
    return ContainerPostgres() if kind == "container" else EmbeddedPostgres()


def choose_kafka() -> KafkaCluster:
    """Return the chosen Kafka, not started yet. Raises WrongChoiceError, NotATestSystemError."""
    if address := os.environ.get(BOOTSTRAP_SERVERS):
        refuse_unless_test_system(address)
        return GivenKafka(address)
    kind = _kind(KAFKA_KIND, "embedded", "process", "container")
    if kind == "process":
        return ApacheKafka()
    return ContainerKafka() if kind == "container" else MockKafka()


def choose_real_kafka() -> KafkaCluster | Unavailable:
    """Return a real Kafka, not started yet: the chosen one, else a process, else a container, else why not."""
    if os.environ.get(BOOTSTRAP_SERVERS) or _kind(KAFKA_KIND, "embedded", "process", "container") != "embedded":
        return choose_kafka()
    no_process = why_unavailable()
    if no_process is None:
        return ApacheKafka()
    container = ContainerKafka()
    no_container = container.why_unavailable()
    if no_container is None:
        return container
    return Unavailable("kafka", f"no Apache Kafka here: {no_process}; {no_container}")


def report_line() -> str:
    """One line that names the choice, for the head of a test report. Starts nothing, raises nothing."""
    return f"backing services: PostgreSQL {_described(choose_postgres)}, Kafka {_described(choose_kafka)}"


def _described(choose: Callable[[], PostgresServer] | Callable[[], KafkaCluster]) -> str:
    try:
        return choose().name
    except (WrongChoiceError, NotATestSystemError, PostgresError) as error:
        return f"refused: {error}"


def _kind(variable: str, *kinds: str) -> str:
    kind = os.environ.get(variable) or kinds[0]
    if kind not in kinds:
        raise WrongChoiceError(f"{variable}={kind}: choose one of {', '.join(kinds)}")
    return kind
