"""What can't read the services' own tables is held to them: each message says what to add, and where."""

import configparser
from pathlib import Path
from typing import Any

import pytest
import yaml
from shop_harness.services import ALL, ROOT, SERVICES, Service, ServiceTableError, described, readers

LIKE = "payments"
"""The service whose files are shown as the example."""
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def like(path: str, service: str) -> str:
    """A file of the example with another service's name and port."""
    text = (ROOT / path.replace("NAME", LIKE)).read_text()
    return text.replace(LIKE, service).replace(str(ALL[LIKE].port), str(ALL[service].port))


@pytest.mark.parametrize("service", ALL.values(), ids=SERVICES)
def test_its_folder_has_what_each_service_has(service: Service) -> None:
    wanted = [
        "Dockerfile",
        "README.md",
        ".importlinter",
        *(
            f"src/{service.name}/{name}"
            for name in ("domain.py", "ports.py", "handlers.py", "queries.py", "storage.py")
        ),
        *(f"src/{service.name}/{name}" for name in ("api.py", "consumers.py", "tasks.py", "settings.py", "app.py")),
        *(f"src/{service.name}/{name}" for name in ("__main__.py", "py.typed", "migrations/env.py")),
        *(f"tests/{name}" for name in ("conftest.py", "factories.py", "fakes.py")),
        *(f"tests/{level}" for level in ("unit", "contract", "parity", "integration")),
    ]

    missing = [name for name in wanted if not (ROOT / "services" / service.name / name).exists()]

    assert missing == [], f"services/{service.name} lacks {', '.join(missing)}: see services/{LIKE}"


def test_no_two_services_have_one_port_or_topic() -> None:
    ports = [service.port for service in ALL.values()]
    topics = [topic for service in ALL.values() for topic in service.publishes]

    assert len(set(ports)) == len(ports), f"[tool.shop] port: {ports}"
    assert len(set(topics)) == len(topics), f"[tool.shop] publishes: {topics}"


@pytest.mark.parametrize("service", ALL.values(), ids=SERVICES)
def test_what_it_reads_is_published_by_somebody_and_what_its_routes_read(service: Service) -> None:
    published = {topic for other in ALL.values() for topic in other.publishes}
    routed = set(readers()[service.name].values())

    assert set(service.reads) == routed, f"services/{service.name}/pyproject.toml: reads = {sorted(routed)}"
    assert set(service.reads) <= published, f"services/{service.name}/pyproject.toml: reads {service.reads}"


@pytest.mark.parametrize("service", ALL.values(), ids=SERVICES)
def test_compose_runs_it(service: Service) -> None:
    name, upper = service.name, service.name.upper()
    add = f"docker-compose.yml: add what it has for {LIKE}:"

    assert {name, f"{name}-migrate"} <= COMPOSE.keys(), f"{add} the services {name} and {name}-migrate"
    assert f"127.0.0.1:${{{service.port_variable}:-{service.port}}}:{service.port}" in COMPOSE[name]["ports"], (
        f"{add} its port {service.port}"
    )
    environment = COMPOSE[name]["environment"]
    for variable in (*service.environment, "DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS"):
        has_default = variable in {"OPERATOR_PASSWORD", "SMTP_PORT"}  # a person's own; the image's
        assert has_default or f"{upper}_{variable}" in environment, f"{add} {upper}_{variable}"
    assert f"{upper}_DATABASE_PASSWORD" in COMPOSE["postgres-databases"]["environment"], (
        f"{add} {upper}_DATABASE_PASSWORD of postgres-databases, which makes a database and a role of it"
    )


def test_compose_makes_every_topic() -> None:
    topics = [f"{name}={partitions}" for service in ALL.values() for name, partitions in service.publishes.items()]

    assert COMPOSE["kafka-topics"]["environment"]["TOPICS"].split() == topics, f"docker-compose.yml: TOPICS: {topics}"


@pytest.mark.parametrize("service", [service for service in SERVICES if service != LIKE])
def test_it_has_a_workflow(service: str) -> None:
    path = f".github/workflows/{service}.yml"

    assert (ROOT / path).exists(), f"add {path}, as that of {LIKE}"
    assert (ROOT / path).read_text() == like(".github/workflows/NAME.yml", service), f"{path} differs from {LIKE}'s"


@pytest.mark.parametrize("service", SERVICES)
def test_the_layers_know_it(service: str) -> None:
    house = _layers(ROOT / ".importlinter")
    own = _layers(ROOT / "services" / service / ".importlinter")
    others = [other for other in SERVICES if other != service]

    assert service in house["importlinter"]["root_packages"].split(), f".importlinter: root_packages: {service}"
    for contract in ("libraries-and-shop", "sandbox"):
        forbidden = house[f"importlinter:contract:{contract}"]["forbidden_modules"].split()
        assert service in forbidden, f".importlinter: {contract}: forbidden_modules: {service}"
    forbidden = own["importlinter:contract:no-test-code"]["forbidden_modules"].split()
    assert set(others) <= set(forbidden), f"services/{service}/.importlinter: forbidden_modules: {', '.join(others)}"


@pytest.mark.parametrize("service", SERVICES)
def test_the_pages_know_it(service: str) -> None:
    assert f"services/{service}/README.md" in (ROOT / "README.md").read_text(), f"README.md: a link to {service}"
    navigation = (ROOT / "docs/site/mkdocs.yml").read_text()
    for page in (f"services/{service}/README.md", f"behaviours/{service}.md"):
        assert page in navigation, f"docs/site/mkdocs.yml: nav: {page}"


@pytest.mark.parametrize("service", SERVICES)
def test_its_document_is_checked_in(service: str) -> None:
    assert (ROOT / f"contracts/asyncapi/{service}.json").exists(), (
        f"`make contracts` makes contracts/asyncapi/{service}.json"
    )


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("", "port, publishes, reads, prepare, environment"),
        ("[tool.shop]\nport = 1\nreads = []\nprepare = []", "publishes, environment"),
    ],
)
def test_a_table_that_lacks_something_is_one_line_with_its_file(tmp_path: Path, text: str, lacks: str) -> None:
    folder = tmp_path / "shipping"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(text)

    with pytest.raises(ServiceTableError, match=rf"services/shipping/pyproject.toml: \[tool.shop\] lacks {lacks};"):
        described(folder)


def _layers(file: Path) -> Any:
    parser = configparser.ConfigParser()
    parser.read(file)
    return parser
