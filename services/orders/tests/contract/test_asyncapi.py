"""orders' AsyncAPI document: what the app serves is checked in, fits the pacts, and is what is sent."""

from pathlib import Path
from typing import Any

import pytest
from asyncapi_gate import assert_published_as_documented, check_document, disagreements, served_document
from orders.app import create_app
from orders.settings import Settings

from ..unit.conftest import Database
from .states import provider_states


@pytest.fixture(scope="session")
async def document(settings: Settings) -> dict[str, Any]:
    return await served_document(create_app(settings))


def test_the_checked_in_document_is_what_the_app_serves(
    document: dict[str, Any], contracts_folder: Path, write_contracts: bool
) -> None:
    check_document(document, contracts_folder / "asyncapi", write=write_contracts)


def test_the_document_and_the_pacts_agree(contracts_folder: Path) -> None:
    assert not disagreements("orders", contracts_folder)


async def test_every_event_is_sent_as_documented(document: dict[str, Any], database: Database) -> None:
    for sweep in provider_states(database).values():
        for use_case in sweep.variants.values():
            await use_case()

    assert_published_as_documented(document, await database.outbox())
