"""A service that publishes and reads no event: it has no consumer, and all else."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from fastapi import APIRouter
from outboxed.errors import ConfigurationError
from outboxed.process import Service, create_service, create_transactions
from outboxed.settings import Database, DatabaseUrl, Port, ServiceSettings
from outboxed.storage import SqlUnitOfWork
from outboxed.testing.memory import InMemoryDatabase, InMemoryUnitOfWork
from outboxed.testing.tokens import KeyPair
from outboxed.testing.tracking import InMemoryParticipant, tracked
from outboxed.web import TokenVerifier

from ..sample import AccountCredited


class Settings(ServiceSettings):
    http_port: Port = 8000
    database_url: DatabaseUrl = Database.parse("postgresql+asyncpg://sample:sample@127.0.0.1:5432/sample")


@pytest.fixture
async def service() -> AsyncIterator[Service[Any]]:
    settings = Settings()
    keys = KeyPair.generate(issuer="i", audience="a", role="operator")
    service = create_service(
        "outboxed",  # a distribution that is installed
        settings,
        create_transactions("outboxed", settings, SqlUnitOfWork),
        routes=(),
        tasks=(),
        published=(AccountCredited,),
        router=APIRouter(),
        dependencies=lambda _: None,
        token_verifier=TokenVerifier((keys.public,), issuer="i", audience="a", roles=("operator",)),
    )
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
