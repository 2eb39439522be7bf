"""What listens where nobody says: on this machine alone. A container's own variables say otherwise."""

import re
from importlib import import_module

import pytest
from pydantic_settings import BaseSettings
from shop_harness.services import SERVICES

from tools.scratch import ROOT, projects

LOOPBACK = "127.0.0.1"
CLASSES = [*SERVICES, "shop_console", "payment_gateway", "mail_catcher", "partner"]
ASKED = {"smtp_host": "notifications"}
"""A host that is asked, not one where something listens: the field, and whose it is."""


def settings_of(package: str) -> type[BaseSettings]:
    found: type[BaseSettings] = import_module(f"{package}.settings").Settings
    return found


@pytest.mark.parametrize("package", CLASSES)
def test_a_program_listens_on_loopback_unless_it_is_told_otherwise(package: str) -> None:
    hosts = {
        name: field.default
        for name, field in settings_of(package).model_fields.items()
        if (name == "host" or name.endswith("_host")) and ASKED.get(name) != package
    }

    assert hosts
    assert set(hosts.values()) == {LOOPBACK}, "listen on loopback; a host that is asked has its line in ASKED"


SOURCES = [
    *(file for folder in projects() for file in sorted(folder.glob("src/**/*.py"))),
    *sorted(ROOT.glob("tools/*/*.py")),
]
EVERYWHERE = re.compile(
    r"""0\.0\.0\.0|(?:listen|bind|host|addr)\w*["']?[:=(, ]+["'](?:\*|::)["']|\bbind\(\(?""|://:\d""", re.IGNORECASE
)
"""An address of all networks, or none, which is the same."""


def test_nothing_of_ours_opens_a_port_to_the_network() -> None:
    lines = ((file, line) for file in SOURCES for line in file.read_text().splitlines())

    assert [f"{file.relative_to(ROOT)}: {line.strip()}" for file, line in lines if EVERYWHERE.search(line)] == []


@pytest.mark.parametrize(
    "line",
    [
        'host: str = "0.0.0.0"',
        '"listen_addresses": "*",',
        'bind("", 0)',
        'listen_addr="::"',
        "listeners=PLAINTEXT://:9092",
    ],
)
def test_a_port_that_is_open_to_the_network_is_seen(line: str) -> None:
    assert EVERYWHERE.search(line)
