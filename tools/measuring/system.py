"""The shop on servers like those of production: Apache Kafka and a PostgreSQL that keeps its commits."""

import asyncio
import os
from collections.abc import Mapping

from backing_services.kafka import ApacheKafka
from backing_services.postgres import EmbeddedPostgres
from backing_services.waiting import eventually
from shop_harness.ledgers import Ledgers
from shop_harness.services import SERVICES
from shop_harness.system import System

from tools.measuring.processor_time import seconds_by_name

REST_WITHIN = 120.0
LOOK_EVERY = 0.02
CALM = {"checkpoint_timeout": "1h", "max_wal_size": "4GB"}
"""No checkpoint in the middle of a run: each page is written whole after it, and which ones is chance."""
OUTSIDE = ("payment gateway", "mail catcher")
OPEN = {
    "orders": "select (select count(*) from outbox) + (select count(*) from orders where status = 'PENDING')",
    "payments": "select (select count(*) from outbox) + (select count(*) from tasks)",
    "notifications": "select (select count(*) from outbox) + (select count(*) from tasks)",
}
SENT = (
    "select count(*) from order_notifications, jsonb_array_elements(notifications) as one where one->>'status' = 'sent'"
)


class MeasuredSystem(System):
    """See System. Its services can be stopped and started again; nothing is printed of it."""

    kafka: ApacheKafka
    postgres: EmbeddedPostgres
    settings: Mapping[str, str] = CALM
    """Of PostgreSQL."""

    async def _start_servers(self) -> None:
        self.postgres = self._stack.enter_context(EmbeddedPostgres(durable=True, port=0, settings=self.settings))
        self.kafka = self._stack.enter_context(ApacheKafka())

    async def restart_services(self) -> None:
        """Stop the services, and start them as they are to be from now on."""
        for service in SERVICES:
            await self.supervisor.stop(service)
        await self._start_services()

    async def administer(self, *statements: str) -> None:
        """Run statements as the server's superuser."""
        async with self.postgres.administration() as connection:
            for statement in statements:
                await connection.execute(statement)

    def processor_seconds(self, services: Mapping[str, str]) -> Mapping[str, float]:
        """CPU seconds so far of each process of the system, and of this one, which is the load.

        `services` are the names of their processes by the names of the services.
        """
        processes = {**services, **{name: name for name in OUTSIDE}}
        names = {name: self.supervisor.process(process).pid for name, process in processes.items()}
        roots = {**names, "PostgreSQL": self.postgres.pid or 0, "Kafka": self.kafka.pid or 0}
        own = os.times()
        return {**seconds_by_name(roots), "load": own.user + own.system}


async def at_rest(ledgers: Ledgers, orders: int, *, every: float = LOOK_EVERY) -> None:
    """Wait until so many orders are settled and written down as told by e-mail, and no service has work left.

    Raises StillWaitingError.
    """

    async def is_at_rest() -> bool:
        sent, *open_ = await asyncio.gather(
            ledgers.rows("notifications", SENT), *(ledgers.rows(service, OPEN[service]) for service in SERVICES[:2])
        )
        if sent[0][0] < orders or any(rows[0][0] for rows in open_):
            return False
        return not (await ledgers.rows("notifications", OPEN["notifications"]))[0][0]

    await eventually(is_at_rest, within=REST_WITHIN, every=every)
