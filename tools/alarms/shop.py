"""The shop that faults are done to, and the handles by which they are done."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer
from backing_services.kafka import MockKafka
from backing_services.postgres import connected
from shop_harness.services import SERVICES
from shop_harness.system import Ports, System, run_command

MANY = 1_000_000
"""Times that a fault of the sandbox may meet; it's taken back before."""


class Shop(System):
    """See System; Kafka is the embedded one, which can be taken down, and what it does to services is said nowhere."""

    kafka: MockKafka

    def __init__(self) -> None:
        super().__init__(Ports.free(), lambda _: None)
        self.http = httpx.AsyncClient(timeout=10, trust_env=False)

    async def _start_servers(self) -> None:
        await super()._start_servers()
        self._stack.push_async_callback(self.http.aclose)

    async def gateway(self, *faults: dict[str, Any]) -> None:
        """Have the payment gateway go wrong, always; without an argument it's well again."""
        await self._faults("gateway", faults)

    async def mail(self, *faults: dict[str, Any]) -> None:
        """The same for the mail server."""
        await self._faults("mail_catcher", faults)

    async def _faults(self, name: str, faults: Sequence[dict[str, Any]]) -> None:
        body = {"faults": [{"times": MANY, **fault} for fault in faults]}
        (await self.http.put(f"{self.ports.url(name)}/_faults", json=body)).raise_for_status()

    async def sql(self, service: str, *statements: str) -> None:
        """Run statements in a service's database."""
        async with connected(self.database_url(service)) as connection:
            for statement in statements:
                await connection.execute(statement)

    async def send(self, topic: str, value: bytes) -> None:
        """Put a record that nobody can read into a topic."""
        headers = [("ce_type", b"order.placed.v1" if topic == "orders" else b"payment.captured.v1"), ("ce_id", b"x")]
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers) as producer:
            await producer.send_and_wait(topic, value, key=b"poison", headers=headers)

    async def discard_dead_letters(self) -> None:
        """As a person does, after having looked."""
        await asyncio.gather(*(self._discard(service) for service in SERVICES))

    async def _discard(self, service: str) -> None:
        environment = self.environment(service)
        listed = await run_command(service, "dead-letters", "list", "--json", environment=environment)
        for line in listed.splitlines():
            letter = json.loads(line)
            await run_command(service, "dead-letters", "discard", str(letter["id"]), environment=environment)

    async def deploy(self, service: str) -> float:
        """A new process takes the place of the old one, as its release does; for how many seconds there was none."""
        clock = asyncio.get_running_loop().time
        spec, begun = self.supervisor.process(service).spec, clock()
        await self.supervisor.stop(service)
        await self.supervisor.start(spec)
        return clock() - begun

    async def stop_postgres(self) -> None:
        """A fast shutdown of the server, with all databases."""
        await asyncio.to_thread(self.postgres.stop)

    async def start_postgres(self) -> None:
        """On the same data and port."""
        self.postgres.start()  # in the main thread: it dies with the thread that started it
