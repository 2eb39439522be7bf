"""What becomes of a provider's events at their readers: the truth by which a fault of the provider is judged."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from outboxed.testing.memory import InMemoryDatabase
from pact_faststream import PactFolder, PactToVerify, ProviderState, verify_provider
from pact_faststream.records import WireRecord, wire
from pact_faststream.values.sent import new_parameters

from services.orders.tests.contract.states import provider_states as orders_states
from services.orders.tests.fakes import in_memory_orders
from services.payments.tests.contract.states import provider_states as payments_states
from services.payments.tests.fakes import in_memory_payments
from tools.contract_matrix.subjects import PACTS, PACTS_OF_MESSAGES, outcome_of

ASKED_OF_EACH_STATE = 24
SEED = 20260115

Ask = tuple[str, Mapping[str, Any]]


class _AskingForValues(PactFolder):
    """The interactions that ask for values, and no others."""

    def pacts(self, provider: str) -> Sequence[PactToVerify]:
        return [
            replace(pact, document={**pact.document, "interactions": asking})
            for pact in super().pacts(provider)
            if (asking := [each for each in pact.document["interactions"] if each["providerStates"][0].get("params")])
        ]


@dataclass(frozen=True)
class Provider:
    """A service that publishes, and those that read what it publishes."""

    name: str
    database: Callable[[], InMemoryDatabase[Any]]
    states: Callable[[Any], Mapping[str, ProviderState]]

    @property
    def readers(self) -> Sequence[str]:
        return [pact.consumer for pact in PACTS_OF_MESSAGES if pact.provider == self.name]

    def asks(self) -> Sequence[Ask]:
        """What is asked of each state, by chance: other values than the contract's own, and always the same ones."""
        chance = random.Random(SEED)  # noqa: S311 - no secret
        return [
            (state, _varied(new_parameters(variant), chance))
            for state, each in self.states(self.database()).items()
            for variant in _chosen(each, chance)
        ]

    async def tell(self, asks: Sequence[Ask]) -> Sequence[WireRecord]:
        """All that is published when this is asked, by the provider's real use cases."""
        database = self.database()
        states = self.states(database)
        for state, parameters in asks:
            await states[state].ask(parameters)
        return [wire(row) for row in await database.outbox()]

    async def keeps_its_contracts(self) -> bool:
        """Whether the provider's own verification passes, as a whole.

        The interactions that ask for values come first, and alone: where they fail, the rest can't change the verdict.
        """
        return await self._keeps(_AskingForValues(PACTS)) and await self._keeps(PactFolder(PACTS))

    async def _keeps(self, source: PactFolder) -> bool:
        database = self.database()
        try:
            await verify_provider(self.name, source, self.states(database), outbox=database.outbox)
        except Exception:  # noqa: BLE001 - whatever it is, the test that runs this fails
            return False
        return True


PROVIDERS: Mapping[str, Provider] = {
    "orders": Provider("orders", in_memory_orders, orders_states),
    "payments": Provider("payments", in_memory_payments, payments_states),
}


async def outcomes(provider: Provider, told: Sequence[WireRecord], order_ids: Sequence[UUID]) -> Mapping[str, object]:
    """What the real subscriber of each reader makes of the story."""
    return {reader: await outcome_of(reader, told, order_ids) for reader in provider.readers}


def _chosen(state: ProviderState, chance: random.Random) -> Sequence[Mapping[str, Any]]:
    swept = [variant for variant in state.variants.values() if isinstance(variant, Mapping)]
    return chance.choices(swept, k=ASKED_OF_EACH_STATE)


def _varied(parameters: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The same kind of event with values of its own: an amount of any size, an instant at any time of day."""
    varied = dict(parameters)
    varied["order_id"] = str(UUID(int=chance.getrandbits(128), version=4))
    for name, value in parameters.items():
        if name in {"total", "amount"}:
            amount = Decimal(chance.randrange(10 ** chance.randint(1, 10))) / 100
            varied[name] = {**value, "amount": f"{amount:.2f}"}
        elif name == "pay_before" or name.endswith("_at"):
            varied[name] = _instant(chance).isoformat()
        elif name == "customer":
            varied[name] = {**value, "email": f"Customer-{chance.randrange(10**9)}@Mail.Example.org"}
    return varied if chance.random() > EDGES else {**parameters, "order_id": varied["order_id"]}


EDGES = 0.4
"""So much of what is asked is what the provider's own sweep asks: midnight, the longest address, the fifty items."""


def _instant(chance: random.Random) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(
        seconds=chance.randrange(10**8), microseconds=chance.choice([0, 250_000, 1])
    )
