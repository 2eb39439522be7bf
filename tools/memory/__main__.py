"""`python -m tools.memory`: whether a service holds more memory after many events than after the first ones.

Each service runs alone as a process, on Apache Kafka and PostgreSQL, and reads made-up events. Most events only change
its database; those of orders also go through its outbox. One in fifty leads to a call to the payment gateway or to an
e-mail.
"""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import typer
from aiokafka import AIOKafkaProducer
from backing_services.kafka.apache import ApacheKafka
from backing_services.postgres import EmbeddedPostgres, connected
from backing_services.waiting import eventually
from orders.app import build
from orders.settings import Settings
from outboxed.testing.topic_log import lag
from shop_harness.services import SAGA, TOPICS, topics_of
from shop_harness.system import Ports, System

from services.notifications.tests import factories as notifications_factories
from services.orders.tests import factories as orders_factories
from services.payments.tests import factories as payments_factories
from tools.measuring.unmeasured import one_line_for_a_person

OUTSIDE = 50
"""One in so many events leads to a call to the outside."""
CHUNK = 1000
LOOK_EVERY = 0.5
DONE_WITHIN = 600.0
WORK = "select (select count(*) from outbox) + (select count(*) from tasks where kind <> 'payment_deadline')"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _orders(order_id: UUID, number: int) -> Any:
    del number
    return orders_factories.payment_declined(order_id)


def _payments(order_id: UUID, number: int) -> Any:
    if number % OUTSIDE:
        return payments_factories.order_cancelled(order_id)
    return payments_factories.order_placed(order_id)


def _notifications(order_id: UUID, number: int) -> Any:
    if number % OUTSIDE:
        return notifications_factories.payment_refunded(order_id)
    return notifications_factories.order_confirmed(order_id)


EVENTS: dict[str, Callable[[UUID, int], Any]] = {
    "orders": _orders,
    "payments": _payments,
    "notifications": _notifications,
}


@dataclass(frozen=True)
class Growth:
    """A process's resident memory in MB, after each part of the events."""

    service: str
    sizes: Sequence[float]

    @property
    def percent(self) -> float:
        return (self.sizes[-1] / self.sizes[0] - 1) * 100

    def __str__(self) -> str:
        return f"{self.service} {self.sizes[0]:.1f} -> {self.sizes[-1]:.1f} MB ({self.percent:+.1f} %)"


@app.command()
def main(
    early: Annotated[int, typer.Option(min=100, help="Events before the first look.")] = 5000,
    late: Annotated[int, typer.Option(min=200, help="Events before the second look.")] = 50_000,
    within: Annotated[float, typer.Option(help="Percent by which a service may have grown.")] = 2,
) -> None:
    """Exit with 1 if a service has grown by more than --within, with 2 if it could not be measured."""
    if late < 2 * early or late % early:
        raise typer.BadParameter("--late must be a multiple of --early, at least twice as many")
    with one_line_for_a_person("memory"), tempfile.TemporaryDirectory(prefix="memory-") as folder:
        grown = asyncio.run(_measured(Path(folder), early, late))
    print(f"memory after {early:,} and after {late:,} events: {', '.join(map(str, grown))}")
    sys.exit(any(growth.percent > within for growth in grown))


async def _measured(folder: Path, early: int, late: int) -> Sequence[Growth]:
    async with QuietSystem(Ports.free(), print, folder=folder) as system:
        return [await Measurement(service, system).growth(early, late) for service in SAGA]


class QuietSystem(System):
    """A system on Apache Kafka in which a service runs only while it is measured, and alone."""

    async def _start_servers(self) -> None:
        self.postgres = self._stack.enter_context(EmbeddedPostgres(port=0))
        self.kafka = self._stack.enter_context(ApacheKafka())

    async def _start_services(self) -> None:
        for service in SAGA:
            await self.kafka.create_topics(_prefixed(service, TOPICS))

    def environment(self, service: str, port: int = 0) -> dict[str, str]:
        """The environment, with a topic prefix for each service."""
        own = {f"{service}_KAFKA_TOPIC_PREFIX".upper(): f"{service}-", f"{service}_LOG_LEVEL".upper(): "WARNING"}
        return {**super().environment(service, port), **own}


@dataclass(frozen=True)
class Measurement:
    """Measures one service while it handles events."""

    service: str
    system: QuietSystem

    async def growth(self, early: int, late: int) -> Growth:
        process = await self.system.start_service(self.service)
        try:
            sizes = []
            for _ in range(late // early):  # in equal parts, because a ten times longer backlog would be another load
                await self._handled(early)
                sizes.append(_resident(process.pid))
            print(f"{self.service}: {' '.join(f'{size:.1f}' for size in sizes)} MB", flush=True)
            return Growth(self.service, sizes)
        finally:
            await self.system.supervisor.stop(self.service)

    async def _handled(self, events: int) -> None:
        """Send so many events, and wait until all their work is done."""
        for first in range(0, events, CHUNK):
            ids = [uuid4() for _ in range(min(CHUNK, events - first))]
            if self.service == "orders":
                await self._place(ids)
            await self._send(EVENTS[self.service](order_id, number) for number, order_id in enumerate(ids))
        async with connected(self.system.database_url(self.service)) as database:

            async def all_is_done() -> bool:
                behind = await lag(self._kafka, self.service, _prefixed(self.service, topics_of(self.service)))
                return bool(behind + await database.fetchval(WORK) == 0)

            await eventually(all_is_done, within=DONE_WITHIN, every=LOOK_EVERY)

    @property
    def _kafka(self) -> str:
        return self.system.kafka.bootstrap_servers

    async def _place(self, ids: Iterable[UUID]) -> None:
        """Store the orders that the events are about, as the service itself would."""
        service = build(Settings(database_url=self.system.database_url("orders")))
        async with service.transactions() as uow:
            for order_id in ids:
                uow.orders.add(orders_factories.OrderFactory.create(order_id=order_id))
        await service.close()

    async def _send(self, records: Iterable[Any]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self._kafka, acks="all") as producer:
            for record in records:
                topic = f"{self.service}-{record.topic}"
                await producer.send(topic, record.value, key=record.key, headers=list(record.headers))
            await producer.flush()


def _prefixed(service: str, topics: Mapping[str, int]) -> dict[str, int]:
    return {f"{service}-{topic}": partitions for topic, partitions in topics.items()}


def _resident(pid: int) -> float:
    """The process's resident memory in MB, of 10^6 bytes."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    app()
