"""The pytest plugin: where a project's contracts are, whether they are written, and where a provider's pacts come from.

Loaded in every run, so it imports nothing at its head that a unit test doesn't need.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pact_faststream.sources import PactSource


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pact_faststream")
    group.addoption("--write-contracts", action="store_true", help="make the contracts again from the code")
    group.addoption("--pacts-in", type=Path, help="verify the pacts that `pact_faststream.broker verify` put there")
    parser.addini("contracts_folder", "where pact files and AsyncAPI documents are", default="contracts")


def pytest_configure() -> None:
    # set now, because pact_faststream sets it at import, which may be during a test
    os.environ.setdefault("PACT_DO_NOT_TRACK", "true")
    _keep_this_machine_direct()


def _keep_this_machine_direct() -> None:
    """Pact's verifier asks servers of this machine, and would ask a proxy for them."""
    if any(name.lower().endswith("_proxy") for name in os.environ):
        for name in ("NO_PROXY", "no_proxy"):
            os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"]))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep tests from reading the contracts while other tests write them."""
    if not config.getoption("write_contracts"):
        return
    others = [item for item in items if "write_contracts" not in getattr(item, "fixturenames", ())]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.fixture(scope="session")
def contracts_folder(pytestconfig: pytest.Config) -> Path:
    """The folder of `pacts/`, and `asyncapi/` if there are documents; `--write-contracts` makes its files again."""
    return pytestconfig.rootpath / str(pytestconfig.getini("contracts_folder"))


@pytest.fixture(scope="session")
def write_contracts(pytestconfig: pytest.Config) -> bool:
    """Whether this run makes the contracts again instead of comparing them."""
    return bool(pytestconfig.getoption("write_contracts"))


@pytest.fixture(scope="session")
def pact_folder(contracts_folder: Path) -> Path:
    """Where the pact files are."""
    return contracts_folder / "pacts"


@pytest.fixture(scope="session")
def pact_source(pytestconfig: pytest.Config, pact_folder: Path) -> "PactSource":
    """The source of a provider's pacts: the pact files, or those that the broker's `verify` chose."""
    from pact_faststream.sources import HandedOver, PactFolder  # noqa: PLC0415 - see the module's docstring

    handed_over = pytestconfig.getoption("pacts_in")
    return HandedOver(handed_over) if handed_over else PactFolder(pact_folder)
