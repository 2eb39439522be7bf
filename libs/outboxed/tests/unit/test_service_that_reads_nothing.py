"""A service that publishes and reads no event: it has no consumer, and all else."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from outboxed.errors import ConfigurationError
from outboxed.process import Service
from outboxed.testing.memory import InMemoryDatabase, InMemoryUnitOfWork
from outboxed.testing.tracking import InMemoryParticipant, tracked

from ..composed import composed
from ..sample import AccountCredited


@pytest.fixture
async def service() -> AsyncIterator[Service[Any]]:
    service = composed()
    yield service
    await service.close()


async def test_it_runs_everything_but_a_consumer(service: Service[Any]) -> None:
    roles = {role.name for role in service.background_roles("all", None)}

    assert service.subscriber is None
    assert {"relay", "worker"} <= roles
    assert "consumer" not in roles


async def test_the_role_of_its_consumer_is_refused_in_one_line(service: Service[Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^outboxed reads no events: it has no consumer$"):
        await service.run("consumer")


async def test_its_document_says_that_it_receives_nothing(service: Service[Any]) -> None:
    document = service.asyncapi()

    assert {operation["action"] for operation in document["operations"].values()} == {"send"}


async def test_it_takes_part_in_a_story_in_memory() -> None:
    database = InMemoryDatabase(InMemoryUnitOfWork, source="/accounts")
    alone = InMemoryParticipant("accounts", database, routes=())

    async with tracked(alone) as session, database() as uow:
        uow.events.append(AccountCredited(account_id=uuid4()), sequence=1)

    session.published(AccountCredited).single()
