"""payments -> its consumers: the messages offered to Pact are the rows that the use cases wrote, in all variants."""

from pact_faststream import PactSource, verify_provider
from payments.events import PUBLISHED

from ..unit.conftest import Database
from .states import provider_states


async def test_payments_keeps_what_its_consumers_expect(database: Database, pact_source: PactSource) -> None:
    assert await verify_provider("payments", pact_source, provider_states(database), outbox=database.outbox)


def test_every_published_event_has_its_variants(database: Database) -> None:
    swept = {state.event.type for state in provider_states(database).values()}

    missing = {event.type for event in PUBLISHED} - swept
    assert not missing, f"tests/contract/states.py: add a provider state that publishes {', '.join(missing)}"
