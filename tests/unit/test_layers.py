"""What .importlinter must forbid: each package may import what its project asks for, and nothing else of this tree."""

import configparser
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from shop_harness.services import SERVICES

from tools.scratch import ROOT, projects

PROJECTS = {tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"]: folder for folder in projects()}
INNER = "handlers"
"""From this layer on inwards no module knows a framework, but for the queries."""


def packages(project: str) -> set[str]:
    return {file.parent.name for file in PROJECTS[project].glob("src/*/__init__.py")}


def asked_for(project: str) -> set[str]:
    """The projects that one may import: itself, and what it asks for, with what that asks for."""
    table = tomllib.loads((PROJECTS[project] / "pyproject.toml").read_text())["project"]
    texts = table.get("dependencies", [])
    own = {Requirement(text).name for text in texts} & PROJECTS.keys()
    return {project}.union(*(asked_for(each) for each in own))


EVERY = set().union(*map(packages, PROJECTS))
CONFIGURATIONS = [ROOT / ".importlinter", *(ROOT / "services" / each / ".importlinter" for each in SERVICES)]
Contract = Mapping[str, str]


def contracts(file: Path) -> dict[str, Contract]:
    parser = configparser.ConfigParser()
    parser.read(file)
    return {name.rpartition(":")[2]: parser[name] for name in parser.sections() if ":contract:" in name}


def listed(contract: Contract, key: str) -> list[str]:
    return contract.get(key, "").split()


def forbidden(package: str) -> Iterator[str]:
    """What a package may not import, by all contracts."""
    for contract in (each for file in CONFIGURATIONS for each in contracts(file).values()):
        if contract["type"] == "independence" and package in listed(contract, "modules"):
            yield from listed(contract, "modules")
        sources = {each.partition(".")[0] for each in listed(contract, "source_modules")}
        if contract["type"] == "forbidden" and package in sources and "allow_indirect_imports" not in contract:
            yield from listed(contract, "forbidden_modules")


@pytest.mark.parametrize("project", PROJECTS)
def test_what_a_project_does_not_ask_for_its_packages_may_not_import(project: str) -> None:
    may = set().union(*map(packages, asked_for(project)))

    for package in packages(project):
        assert EVERY - may - set(forbidden(package)) == set(), f".importlinter: forbidden_modules of {package}"


def test_the_layers_know_every_package() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")

    assert set(parser["importlinter"]["root_packages"].split()) == EVERY


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda file: file.parent.name)
def test_no_import_is_let_through(file: Path) -> None:
    assert [name for name, contract in contracts(file).items() if "ignore_imports" in contract] == []
    assert [name for name, contract in contracts(file).items() if "allow_indirect_imports" in contract] in (
        [],
        ["pure-domain"],
    )


def layers(service: str) -> list[set[str]]:
    lines = contracts(ROOT / "services" / service / ".importlinter")["layers"]["layers"].strip().splitlines()
    return [{name.strip(" ()") for name in line.split("|")} for line in lines]


def modules(service: str) -> set[str]:
    folder = ROOT / "services" / service / "src" / service
    return {file.stem for file in folder.glob("*.py")} - {"__init__"}


@pytest.mark.parametrize("service", SERVICES)
def test_every_module_of_a_service_is_in_a_layer(service: str) -> None:
    assert modules(service) - set().union(*layers(service)) == set(), f"services/{service}/.importlinter: layers"


@pytest.mark.parametrize("service", SERVICES)
def test_what_decides_knows_no_framework(service: str) -> None:
    contract = contracts(ROOT / "services" / service / ".importlinter")["pure-domain"]
    [outer] = [number for number, layer in enumerate(layers(service)) if INNER in layer]
    inner = (set().union(*layers(service)[outer:]) & modules(service)) - {"queries"}

    assert inner - {name.partition(".")[2] for name in listed(contract, "source_modules")} == set()
    assert set(listed(contract, "forbidden_modules")) == {
        "fastapi",
        "faststream",
        "sqlalchemy",
        "httpx",
        "aiosmtplib",
        "aiokafka",
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_points_inwards(service: str) -> None:
    order = ["__main__", "app", "settings", "api", "storage", "handlers", "ports", "domain"]

    found = [number for name in order for number, layer in enumerate(layers(service)) if name in layer]
    assert len(found) == len(order), f"services/{service}/.importlinter: each of {order} in one layer"
    assert found == sorted(found)
    needed = {"layers", "pure-domain", "no-test-code"}
    assert needed - contracts(ROOT / "services" / service / ".importlinter").keys() == set()
