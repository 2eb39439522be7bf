"""What the README of pact_faststream shows works as it stands there: a consumer, then its provider."""

from pathlib import Path

from libs.backing_services.tests.conftest import ASYNCIO, Project
from libs.backing_services.tests.snippets import snippet

PLUGIN = ("-p", "pact_faststream.plugin")
README = Path(__file__).parents[2] / "README.md"
CONSUMER = """
from typing import ClassVar
from uuid import UUID

import pytest
from faststream.kafka import KafkaBroker, TestKafkaBroker
from pydantic import BaseModel

PARCEL_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")
ANOTHER_ID = UUID("b1946ac9-2a0c-4f6e-8d57-41f0c2a7d3e5")


@pytest.fixture
def announcements():
    return []


@pytest.fixture
async def subscriber(announcements):
    broker = KafkaBroker("localhost:9092")
    subscriber = broker.subscriber("parcels")

    @subscriber
    async def announce(parcel: dict) -> None:
        announcements.append(UUID(parcel["parcel_id"]))

    async with TestKafkaBroker(broker):
        yield subscriber


"""
PROVIDER = """
from typing import ClassVar
from uuid import uuid4, UUID

import pytest
from outboxed.messages import Event
from outboxed.storage import Clock
from outboxed.testing.adapters import InMemoryBackend
from outboxed.testing.memory import InMemoryDatabase, InMemoryUnitOfWork


class ParcelShipped(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID
    weight: int


WAREHOUSE = InMemoryDatabase(InMemoryUnitOfWork, source="/warehouse", clock=Clock())


async def ship(parcel_id: UUID | None = None, weight: int = 3) -> None:
    async with WAREHOUSE() as uow:
        uow.events.append(ParcelShipped(parcel_id=parcel_id or uuid4(), weight=weight), sequence=1)


@pytest.fixture
def database():
    return InMemoryBackend(WAREHOUSE)


"""


def test_the_consumer_and_the_provider(project: Project) -> None:
    consumer = CONSUMER + snippet(README, "PACT = MessagePact(") + "\n\n" + snippet(README, "PACT.descriptions")
    provider = PROVIDER + snippet(README, "STATES = {")
    files = {"pytest.ini": ASYNCIO, "tests/contract/test_consumer.py": consumer}

    written = project(files, *PLUGIN, "--write-contracts")
    run = project({**files, "tests/contract/test_provider.py": provider}, *PLUGIN)

    assert written.status == 0, written.text
    assert run.status == 0, run.text
    run.lines.fnmatch_lines(["*6 passed*"])
