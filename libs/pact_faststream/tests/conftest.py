import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.backing_services.tests.conftest import project, warm_pytest
from tools.broker_stand_in import served

from .broker_commands import set_only
from .broker_in_memory import InMemoryBroker

__all__ = ["broker", "project", "warm_pytest"]


@pytest.fixture(scope="session")
def served_broker() -> Iterator[InMemoryBroker]:
    """One server for all tests: a start of it takes longer than most of them."""
    broker = InMemoryBroker()
    with served(broker) as url:
        broker.url = url
        yield broker


@pytest.fixture
def broker(served_broker: InMemoryBroker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> InMemoryBroker:
    """An empty broker; the folder of a project, and version 1.0.0 on main is the build that runs."""
    served_broker.empty()
    build = {"PACT_BROKER_BASE_URL": served_broker.url, "PACT_VERSION": "1.0.0", "PACT_BRANCH": "main"}
    set_only(monkeypatch, dict(os.environ), **build)
    monkeypatch.chdir(tmp_path)
    return served_broker
