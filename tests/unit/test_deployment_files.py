"""What `docker compose config` can't see: that the files stay alike, pinned, on loopback, and usable side by side."""

import re
from pathlib import Path

import pytest
from testkit.kafka.apache import VERSION as KAFKA_VERSION

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES = ("orders", "payments", "notifications")


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


def test_every_image_can_be_changed_by_a_variable_and_has_a_tag() -> None:
    images = re.findall(r"^ +image: (.+)$", COMPOSE, re.MULTILINE)

    assert images
    assert [image for image in images if not re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[a-z/-]+:[\w.-]+\}", image)] == []
    assert not [image for image in images if ":latest" in image]


def test_the_containers_are_those_that_the_tests_take_for_themselves() -> None:
    assert f"${{KAFKA_IMAGE:-apache/kafka:{KAFKA_VERSION}}}" in COMPOSE
    assert "${POSTGRES_IMAGE:-postgres:18}" in COMPOSE


def test_every_port_is_on_loopback_and_can_be_changed() -> None:
    published = re.findall(r'"([^"\s]+:\d+)"', "\n".join(ports_lines()))

    assert len(published) == len(re.findall(r"_PORT:-\d+\}:\d+", COMPOSE)) == 9
    assert [port for port in published if not re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+_PORT:-\d+\}:\d+", port)] == []


def ports_lines() -> list[str]:
    return re.findall(r"^ +ports: \[.*\]$|^ +- \"127.*\"$", COMPOSE, re.MULTILINE)


def test_several_can_run_side_by_side() -> None:
    assert "container_name" not in COMPOSE
    assert re.search(r"^ +(name|network_mode|external):", COMPOSE, re.MULTILINE) is None
