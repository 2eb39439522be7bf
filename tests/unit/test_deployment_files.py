"""What `docker compose config` can't see: that the files stay alike, pinned, on loopback, and usable side by side."""

import re
from pathlib import Path

import pytest
import yaml
from backing_services.kafka.apache import VERSION as KAFKA_VERSION
from shop_harness.services import SERVICES

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
ON_LOOPBACK = re.compile(r"127\.0\.0\.1:\$\{[A-Z_]+_PORT:-\d+\}:\d+")


@pytest.mark.parametrize("service", SERVICES[1:])
def test_the_services_dockerfiles_differ_in_name_port_and_description_only(service: str) -> None:
    assert generic_dockerfile(service) == generic_dockerfile("orders")


def generic_dockerfile(service: str) -> str:
    text = (ROOT / "services" / service / "Dockerfile").read_text()
    text = text.replace(service, "NAME").replace(service.upper(), "NAME")
    text = re.sub(r"\b80\d\d\b", "PORT", text)
    return re.sub(r"(image\.description)=.*", r"\1", text)


def test_the_images_are_built_with_one_python_and_one_uv() -> None:
    dockerfiles = [ROOT / "sandbox/Dockerfile", *(ROOT / "services" / service / "Dockerfile" for service in SERVICES)]
    pins = {
        tuple(re.findall(r"^ARG PYTHON_IMAGE=(\S+:\S+)|\buv==(\S+)", file.read_text(), re.MULTILINE))
        for file in dockerfiles
    }

    assert len(pins) == 1
    assert len(next(iter(pins))) == 2


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_every_image_can_be_changed_by_a_variable_and_has_a_tag(service: str) -> None:
    image = COMPOSE["services"][service]["image"]

    assert re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[a-z/-]+:[\w.-]+\}", image)
    assert ":latest" not in image


def test_the_containers_are_those_that_the_tests_take_for_themselves() -> None:
    assert COMPOSE["services"]["kafka"]["image"] == f"${{KAFKA_IMAGE:-apache/kafka:{KAFKA_VERSION}}}"
    assert COMPOSE["services"]["postgres"]["image"] == "${POSTGRES_IMAGE:-postgres:18}"


def test_every_port_is_on_loopback_and_can_be_changed() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

    assert len(published) == 9
    assert [port for port in published if not ON_LOOPBACK.fullmatch(str(port))] == []


def test_several_can_run_side_by_side() -> None:
    parts = [*COMPOSE["services"].values(), *filter(None, COMPOSE["volumes"].values())]

    assert not {"container_name", "name", "network_mode", "external"} & {key for part in parts for key in part}
