"""What the README of testkit.pact shows works as it stands there: a consumer, then its provider."""

from pathlib import Path

import testkit.pact

from ..conftest import ASYNCIO, Project
from ..snippets import snippet

README = Path(testkit.pact.__file__).with_name("README.md")
CONSUMER = """
from typing import ClassVar
from uuid import UUID

import pytest
from chassis.events import ConsumedEvent
from faststream.kafka import KafkaBroker, TestKafkaBroker

PARCEL_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")


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
from chassis.clock import Clock
from chassis.events import Event
from testkit.backends import InMemoryBackend
from testkit.memory import InMemoryDatabase, InMemoryUnitOfWork


class ParcelShipped(Event):
    type: ClassVar[str] = "parcel.shipped.v1"
    topic: ClassVar[str] = "parcels"
    key_field: ClassVar[str] = "parcel_id"

    parcel_id: UUID
    weight: int


WAREHOUSE = InMemoryDatabase(InMemoryUnitOfWork, source="/warehouse", clock=Clock())


async def ship(weight=3):
    async with WAREHOUSE() as uow:
        uow.events.append(ParcelShipped(parcel_id=uuid4(), weight=weight), sequence=1)


@pytest.fixture
def database():
    return InMemoryBackend(WAREHOUSE)


"""


def test_the_consumer_and_the_provider(project: Project) -> None:
    consumer = CONSUMER + snippet(README, "PACT = MessagePact(") + "\n\n" + snippet(README, "PACT.expectations")
    provider = PROVIDER + snippet(README, "STATES = {")
    files = {"pytest.ini": ASYNCIO, "tests/contract/test_consumer.py": consumer}

    written = project(files, "--write-contracts")
    run = project({**files, "tests/contract/test_provider.py": provider})

    assert written.status == 0, written.text
    assert run.status == 0, run.text
    run.lines.fnmatch_lines(["*4 passed*"])
