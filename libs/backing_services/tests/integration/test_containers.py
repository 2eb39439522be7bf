"""What is said where containers can't run, with an engine that answers but lacks images."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from backing_services.choice import Unavailable, choose_real_kafka
from backing_services.containers import why_no_container, why_no_engine
from backing_services.kafka import ContainerKafka, KafkaError
from backing_services.postgres import ContainerPostgres, PostgresError
from testcontainers.core.config import testcontainers_config

from ..conftest import Project
from ..engine import NO_REGISTRY, Engine, docker_engine

RYUK = testcontainers_config.ryuk_image
KAFKA = "apache/kafka:4.3.1"
NO_JAVA = {"BACKING_CACHE": "/dev/null/cache"}
NEEDS_REAL_KAFKA = """
    def test_one(real_kafka_cluster): pass
    def test_another(real_kafka_cluster): pass
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", False)
    for variable in ("KAFKA_IMAGE", "POSTGRES_IMAGE", "BACKING_KAFKA", "TEST_KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(variable, raising=False)
    with docker_engine(tmp_path) as engine:
        yield engine


def test_an_engine_that_has_the_images_runs_containers(engine: Engine) -> None:
    engine.images = {RYUK, KAFKA}

    assert why_no_container(KAFKA, "KAFKA_IMAGE") is None


def test_images_that_a_registry_has_will_do(engine: Engine) -> None:
    engine.registry = {RYUK, KAFKA}

    assert why_no_container(KAFKA, "KAFKA_IMAGE") is None


def test_what_is_missing_is_named_with_the_engines_reason_and_what_to_do(engine: Engine) -> None:
    assert why_no_container(KAFKA, "KAFKA_IMAGE") == (
        f"the Docker engine at {engine.address} has no image {KAFKA} and no {RYUK}, and can't pull it ({NO_REGISTRY}): "
        "load what is missing, or set KAFKA_IMAGE to one that it has and TESTCONTAINERS_RYUK_DISABLED to true"
    )


def test_only_what_is_missing_is_named(engine: Engine) -> None:
    engine.images = {KAFKA}
    engine.registry = set()

    assert why_no_container(KAFKA, "KAFKA_IMAGE") == (
        f"the Docker engine at {engine.address} has no image {RYUK}, and can't pull it (manifest unknown): "
        "load what is missing, or set TESTCONTAINERS_RYUK_DISABLED to true"
    )


def test_without_the_reaper_its_image_is_not_needed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    engine.images = {KAFKA}

    assert why_no_container(KAFKA, "KAFKA_IMAGE") is None


def test_the_registry_is_asked_once(engine: Engine) -> None:
    first, second = (why_no_container(KAFKA, "KAFKA_IMAGE") for _ in range(2))

    assert first == second
    assert engine.asked.count(f"distribution/{KAFKA}/json") == 1


def test_the_question_leaves_no_variable_behind(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """testcontainers takes an address from ~/.testcontainers.properties, too, and notes it in the environment."""
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setattr(testcontainers_config, "tc_properties", {"tc.host": engine.address})

    assert "has no image" in (why_no_container(KAFKA, "KAFKA_IMAGE") or "")
    assert "DOCKER_HOST" not in os.environ


def test_an_engine_that_answers_with_an_error_is_named_with_it(engine: Engine) -> None:
    engine.broken = True

    assert why_no_container("kafka:1", "KAFKA_IMAGE") == (
        f"the Docker engine at {engine.address} doesn't serve testcontainers (the store is locked)"
    )


def test_podman_which_can_only_pull_is_believed(engine: Engine) -> None:
    engine.name = "Podman Engine"

    assert why_no_container(KAFKA, "KAFKA_IMAGE") is None


def test_what_accepts_connections_and_says_nothing_is_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setattr("backing_services.containers.ANSWER_LIMIT", 0.01)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/docker.sock")
        silent.listen()

        assert why_no_engine() == f"no Docker engine answers at unix://{tmp_path}/docker.sock"


@pytest.mark.usefixtures("cache")
def test_a_real_kafka_is_a_container_where_its_images_can_be_had(engine: Engine) -> None:
    engine.registry = {RYUK, KAFKA}

    assert isinstance(choose_real_kafka(), ContainerKafka)


@pytest.mark.usefixtures("cache")
def test_a_real_kafka_without_images_is_unavailable(engine: Engine) -> None:
    choice = choose_real_kafka()

    assert isinstance(choice, Unavailable)
    assert f"the Docker engine at {engine.address} has no image {KAFKA}" in choice.why


@pytest.mark.usefixtures("engine")
def test_a_container_that_was_asked_for_fails_by_the_same_sentence() -> None:
    with pytest.raises(PostgresError, match=r"has no image postgres:18 .* set POSTGRES_IMAGE to one that it has"):
        ContainerPostgres().start()
    with pytest.raises(KafkaError, match=r"has no image apache/kafka.* set KAFKA_IMAGE to one that it has"):
        ContainerKafka().start()


def test_tests_that_need_a_real_kafka_are_named_as_not_run(project: Project, engine: Engine) -> None:
    run = project({"tests/integration/test_x.py": NEEDS_REAL_KAFKA}, DOCKER_HOST=engine.address, **NO_JAVA)

    assert run.status == 0, run.text
    run.lines.fnmatch_lines(["2 because no Apache Kafka here: no *; the Docker engine at * has no image apache/kafka*"])


def test_require_makes_them_fail(project: Project, engine: Engine) -> None:
    run = project(
        {"tests/integration/test_x.py": NEEDS_REAL_KAFKA}, DOCKER_HOST=engine.address, REQUIRE="kafka", **NO_JAVA
    )

    assert run.status == 1
    run.lines.fnmatch_lines(["*REQUIRE=kafka, but no Apache Kafka here: *has no image*"])


def test_a_kind_that_was_asked_for_fails_its_tests_by_the_sentence(project: Project, engine: Engine) -> None:
    run = project(
        {"tests/integration/test_x.py": "def test_it(postgres_server): pass"},
        DOCKER_HOST=engine.address,
        BACKING_POSTGRES="container",
    )

    assert run.status == 1
    run.lines.fnmatch_lines(["E *PostgresError: the Docker engine at * has no image postgres:18 *"])
