"""payments' AsyncAPI document: what the app serves is checked in, fits the pacts, and is what is sent."""

from typing import Any

from asyncapi_gate import assert_published_as_documented
from asyncapi_gate.suite import DocumentSuite
from pact_faststream import produce_all

from ..unit.conftest import Database
from .states import provider_states


class TestDocument(DocumentSuite):
    service = "payments"

    async def test_every_event_is_sent_as_documented(self, document: dict[str, Any], database: Database) -> None:
        await produce_all(provider_states(database).values())

        assert_published_as_documented(document, await database.outbox())
