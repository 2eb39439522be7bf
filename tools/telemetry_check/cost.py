"""What spans cost the services: CPU an order with none, with a share of the orders, and with all, in turns."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from statistics import median

from shop_harness.ledgers import Ledgers
from shop_harness.services import SERVICES
from shop_harness.system import Ports

from tools.measuring.collector import Collector
from tools.measuring.load import Customers
from tools.measuring.system import MeasuredSystem, at_rest

CLIENTS = 8
WARM_UP = 80
PARTS = 4
"""Loads of a turn, each measured by itself."""
OFF = "off"
MODES: Mapping[str, Mapping[str, str]] = {
    OFF: {"OTEL_SDK_DISABLED": "true"},
    "10 %": {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
    "on": {},
}


@dataclass
class Cost:
    """Milliseconds of CPU an order by mode: by service, for each part of each turn; and the spans of a turn."""

    parts: dict[str, list[Mapping[str, float]]] = field(default_factory=lambda: {mode: [] for mode in MODES})
    spans: dict[str, int] = field(default_factory=dict)

    def milliseconds(self, mode: str, services: Sequence[str] = SERVICES) -> float:
        """The median of the parts, of these services together."""
        return median(self._of(mode, services))

    def ratio(self, mode: str) -> float:
        """To off, of the medians."""
        return self.milliseconds(mode) / self.milliseconds(OFF)

    def least_ratio(self, mode: str) -> float:
        """To off, of the parts that cost least: what else the machine does makes the same work dearer."""
        return min(self._of(mode, SERVICES)) / min(self._of(OFF, SERVICES))

    def _of(self, mode: str, services: Sequence[str]) -> list[float]:
        return [sum(part[service] for service in services) for part in self.parts[mode]]


class _System(MeasuredSystem):
    """See MeasuredSystem; its services have the variables of one mode."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(Ports.free(), lambda _: None)
        self._variables: Mapping[str, str] = MODES[OFF]
        self._endpoint = endpoint

    def environment(self, service: str, port: int = 0) -> dict[str, str]:
        own = {"OTEL_EXPORTER_OTLP_ENDPOINT": self._endpoint, **self._variables}
        return {**super().environment(service, port), **own}

    async def start_services(self, variables: Mapping[str, str]) -> None:
        """Start the services with these variables."""
        self._variables = variables
        await self._start_services()

    async def stop_services(self) -> None:
        """Stop the services, and leave them so."""
        for service in SERVICES:
            await self.supervisor.stop(service)


async def measured(orders: int, rounds: int) -> Cost:
    """So many orders in each mode and round. Raises what the load and the system raise."""
    async with AsyncExitStack() as stack:
        collector = stack.enter_context(Collector.listening())
        system = await stack.enter_async_context(_System(collector.url))
        ledgers = await stack.enter_async_context(Ledgers(system))
        customers = await stack.enter_async_context(Customers.of(system.ports.url("orders"), CLIENTS))
        run = _Run(system, ledgers, customers, collector)
        await system.stop_services()
        for number in range(rounds):
            for mode in [*MODES][:: -1 if number % 2 else 1]:
                await run.turn(mode, orders)
    return run.cost


@dataclass
class _Run:
    system: _System
    ledgers: Ledgers
    customers: Customers
    collector: Collector
    cost: Cost = field(default_factory=Cost)
    placed: int = 0

    async def turn(self, mode: str, orders: int) -> None:
        """The services of one mode, from their start to their end, which brings their last spans."""
        self.collector.spans.clear()
        await self.system.start_services(MODES[mode])
        await self._place(WARM_UP)
        for _ in range(PARTS):
            before = self._seconds()
            await self._place(orders // PARTS)
            after = self._seconds()
            spent = {service: 1000 * (after[service] - before[service]) for service in SERVICES}
            self.cost.parts[mode].append({service: each / (orders // PARTS) for service, each in spent.items()})
        await self.system.stop_services()
        self.cost.spans[mode] = len(self.collector.spans)

    async def _place(self, orders: int) -> None:
        await self.customers.place(orders)
        self.placed += orders
        await at_rest(self.ledgers, self.placed)

    def _seconds(self) -> Mapping[str, float]:
        return self.system.processor_seconds({service: service for service in SERVICES})
