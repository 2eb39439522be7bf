"""notifications' AsyncAPI document: what the app serves is checked in, and fits the pacts."""

from pathlib import Path
from typing import Any

import pytest
from asyncapi_gate import check_document, disagreements, served_document
from notifications.app import create_app
from notifications.settings import Settings


@pytest.fixture(scope="session")
async def document(settings: Settings) -> dict[str, Any]:
    return await served_document(create_app(settings))


def test_the_checked_in_document_is_what_the_app_serves(
    document: dict[str, Any], contracts_folder: Path, write_contracts: bool
) -> None:
    check_document(document, contracts_folder / "asyncapi", write=write_contracts)


def test_the_document_and_the_pacts_agree(contracts_folder: Path) -> None:
    assert not disagreements("notifications", contracts_folder)
