"""The contract test in asyncapi_gate's README, as it stands there, on one of the services."""

from pathlib import Path
from types import SimpleNamespace

from orders.app import create_app
from orders.settings import Settings
from outboxed.storage import Clock
from outboxed.testing.adapters import InMemoryBackend
from pact_faststream import produce_all

from libs.backing_services.tests.snippets import perform, snippet
from services.orders.tests.contract.states import provider_states
from services.orders.tests.fakes import in_memory_orders

README = Path(__file__).parents[2] / "libs" / "asyncapi_gate" / "README.md"


async def test_the_readmes_contract_test(contracts_folder: Path) -> None:
    database = in_memory_orders(Clock())
    await produce_all(provider_states(database).values())
    names = {
        "create_app": create_app,
        "settings": Settings(environment="test"),
        "contracts_folder": contracts_folder,
        "write_contracts": False,
        "database": SimpleNamespace(outbox=InMemoryBackend(database).outbox),
    }

    await perform(snippet(README, "served_document(create_app(settings))"), names)
