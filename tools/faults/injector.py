"""The faults of a run; each is a method that injects the fault, ends it, and returns what was done."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer
from backing_services.faults import Fault, Planned
from backing_services.postgres import connected
from backing_services.processes import ProcessFailedError
from backing_services.waiting import StillWaitingError, eventually
from outboxed.messages import Record
from outboxed.testing.topic_log import Position, header, position, read_topics
from shop_harness.customers import OrdersApi
from shop_harness.evidence import Letter
from shop_harness.services import SERVICES, TOPICS

from tools.faults.customers import PATIENCE, Customers
from tools.faults.evidence import Injected, Interruption
from tools.faults.poison import HARMLESS, POISON, Oddity, groups_that_refuse, with_new_id
from tools.faults.recoveries import Recovery
from tools.faults.system import ProxiedSystem, Replica
from tools.faults.topics import put_row
from tools.measuring.cores import Reading

MAILS = "notifications"
PAUSE = (7.0, 9.0)
"""Longer than the consumers' session (6 s), so that the group goes on without the paused member."""
SETTLED = {"service kill": 12.0, "PostgreSQL": 6.0, "Kafka": 16.0}
"""Seconds from a measured fault to the next, so that each is measured alone: the killed process has joined its group
again, and the group has removed the old member."""
OUTAGE = (0.0, 3.0)
SHORT = (1.0, 4.0)
SLOW_MS = (50, 400)
COPIES = 5
SOON = 0.1
OLD = 5.0
"""Seconds after which the topics are read again."""
FOR_EVER = 1_000_000
PUBLISHERS = ("orders", "payments")
"""Services that publish; each has a topic of its own name."""
TOO_LARGE = 1_100_000
"""Bytes; Kafka's default limit is 1,048,588 (`message.max.bytes`)."""
GATEWAY = (
    {"operation": "charge", "action": "timeout_after", "times": 3},
    {"operation": "charge", "action": "status", "status": 500, "times": 4},
    {"operation": "charge", "action": "status", "status": 429, "seconds": 1, "times": 4},
    {"operation": "charge", "action": "garbage", "times": 3},
    {"operation": "charge", "action": "delay", "seconds": 3, "times": 3},
    {"operation": "list", "action": "status", "status": 503, "times": 3},
    {"operation": "list", "action": "garbage", "times": 2},
    {"operation": "refund", "action": "timeout_after", "times": 2},
    {"operation": "refund", "action": "status", "status": 503, "seconds": 1, "times": 3},
)
SMTP: Sequence[Mapping[str, Any]] = (
    {"action": "status", "status": 451, "times": 4},
    {"action": "hang", "seconds": 20, "times": 2},
    {"action": "drop_after_data", "times": 3},
)


@dataclass
class Injector:
    """Injects faults, and records them in `injected` and `recoveries`.

    `recoveries` has, by the part that failed, what passed from a fault's end until a new order was confirmed by e-mail.
    """

    system: ProxiedSystem
    customers: Customers
    http: httpx.AsyncClient
    injected: Injected = field(default_factory=Injected)
    recoveries: dict[str, list[Recovery]] = field(default_factory=dict)
    _guests: int = 0
    _log: Sequence[Record] = ()
    _read_at: float = 0
    _busy: set[str] = field(default_factory=set)

    async def begin(self) -> None:
        """Set the faults that last for the whole run."""
        await self._put(f"{self.system.ports.url('mail_catcher')}/_faults", self._refusals())

    async def end(self) -> None:
        """Remove faults that no call has used up."""
        await self._put(f"{self.system.ports.url('gateway')}/_faults", [])
        await self.begin()

    def storm(self, *, kills: int) -> list[Fault]:
        """All faults that are possible here, with their numbers, which follow from `kills`."""
        times = max(1, kills // 10)
        faults = [
            Fault("kill", kills, self.kill),
            Fault("pause", times, self.pause, needs="pause"),
            Fault("Kafka crash", times, self.kafka_crash, needs="kafka"),
            Fault("PostgreSQL crash", 2 * times, self.postgres_crash, needs="postgres"),
            Fault("Kafka unreachable", 2 * times, self.kafka_unreachable, needs="kafka"),
            Fault("database unreachable", 3 * times, self.database_unreachable, needs="postgres"),
            Fault("rebalance storm", times, self.rebalance_storm),
            Fault("gateway fault", 10 * times, self.gateway_fault, needs="gateway"),
            Fault("gateway crash", times, self.gateway_crash),
            Fault("SMTP fault", 6 * times, self.smtp_fault, needs="smtp"),
            Fault("copies", 6 * times, self.copies, needs="kafka"),
            Fault("refused row", 2 * times, self.refused_row, needs="postgres"),
            *(Fault(f"poison: {one.name}", times, self._sender(one), needs="kafka") for one in POISON),
            *(Fault(f"odd: {one.name}", times, self._sender(one), needs="kafka") for one in HARMLESS),
        ]
        if self.system.disk is not None:
            faults.append(Fault("full disk", times, self.full_disk, needs="postgres"))
        return faults

    def measured(self, *, kills: int) -> list[Fault]:
        """The faults whose recovery is measured, one at a time."""
        return [
            Fault("service kill", kills, self.kill),
            Fault("PostgreSQL", max(1, kills // 2), self.postgres_crash),
            Fault("Kafka", max(1, kills // 3), self.kafka_crash),
        ]

    async def measure(self, plan: Sequence[Planned], tell: Callable[[float, Planned, str], None]) -> None:
        """Inject one fault after another; after each, an order's confirmation shows when the system has recovered."""
        clock = asyncio.get_running_loop().time
        for one in plan:
            begun = clock()
            words = await one.fault.inject(random.Random(one.seed))  # noqa: S311 - a plan, not a secret
            over = Reading.now()
            try:
                seconds = await self.customers.probe()
            except StillWaitingError:
                seconds = float("inf")  # the rules say which e-mail is missing
            cores = Reading.now().cores_since(over)
            self.recoveries.setdefault(one.fault.name, []).append(Recovery(seconds, cores))
            tell(clock() - begun, one, f"{words}; a new order is confirmed after {seconds:.1f} s, {cores:.1f} cores")
            await asyncio.sleep(max(0.0, begun + SETTLED[one.fault.name] - clock()))

    async def kill(self, rng: random.Random) -> str:
        """SIGKILL to a replica; its supervisor starts it again at once."""
        replica = self._idle(rng)
        self.injected.kills += 1
        with self._interrupted_mails(replica.service):
            replica.process.kill()
        return f"SIGKILL to {replica.name}"

    async def pause(self, rng: random.Random) -> str:
        """SIGSTOP until the group has gone on without the replica, then SIGCONT; the replica sees no pause."""
        replica, seconds = self._idle(rng), rng.uniform(*PAUSE)
        with self._busy_with(replica):
            replica.process.pause()
            await asyncio.sleep(seconds)
            replica.process.resume()
        return f"SIGSTOP to {replica.name} for {seconds:.1f} s"

    async def kafka_crash(self, rng: random.Random) -> str:
        """SIGKILL to Kafka, which is started again a little later."""
        seconds = rng.uniform(*OUTAGE)
        self.injected.kills += 1
        self.system.kafka.kill()
        await asyncio.sleep(seconds)
        self.system.kafka.spawn()
        await asyncio.to_thread(self.system.kafka.wait_until_ready)
        return f"Kafka killed, away for {seconds:.1f} s and its start"

    async def postgres_crash(self, rng: random.Random) -> str:
        """An immediate stop of PostgreSQL, which recovers at its next start."""
        seconds = rng.uniform(*OUTAGE)
        self.injected.kills += 1
        with self._interrupted_mails():
            self.system.postgres.stop_immediate()
            await asyncio.sleep(seconds)
            self.system.postgres.start()
        return f"PostgreSQL stopped with -m immediate, away for {seconds:.1f} s"

    async def kafka_unreachable(self, rng: random.Random) -> str:
        return await self._disturb("kafka", rng)

    async def database_unreachable(self, rng: random.Random) -> str:
        service = rng.choice(SERVICES)
        with self._interrupted_mails(service):
            return await self._disturb(service, rng)

    async def _disturb(self, name: str, rng: random.Random) -> str:
        proxy, seconds = self.system.proxies[name], rng.uniform(*SHORT)
        how = rng.choice(["cut", "slowed", "frozen"])
        match how:
            case "cut":
                await proxy.cut()
            case "slowed":
                await proxy.slow(rng.randint(*SLOW_MS))
            case _:
                await proxy.freeze()
        await asyncio.sleep(seconds)
        await proxy.restore()
        what = "the way to Kafka" if name == "kafka" else f"{name}' way to its database"
        return f"{what} {how} for {seconds:.1f} s"

    async def full_disk(self, rng: random.Random) -> str:
        """Leave no room on PostgreSQL's disk; if PostgreSQL ends, start it again."""
        assert self.system.disk is not None
        seconds = rng.uniform(*SHORT)
        with self._interrupted_mails():
            self.system.disk.fill()
            await asyncio.sleep(seconds)
            self.system.disk.free()
            self.system.postgres.stop_immediate()
            self.system.postgres.start()
        return f"PostgreSQL's disk full for {seconds:.1f} s"

    async def rebalance_storm(self, rng: random.Random) -> str:
        """Members come and go: a replica is stopped and started in good order, and guests join for a moment."""
        replica = self._idle(rng)
        with self._busy_with(replica):
            for _ in range(2):
                self._guests += 1
                guest = f"{replica.service}-guest-{self._guests}"
                await self._started(partial(self.system.extra_consumer, replica.service, guest))
                await self.system.supervisor.stop(replica.name)
                await self._started(partial(self.system.start, replica))
                await self.system.supervisor.stop(guest)
        return f"{replica.name} and guests came and went"

    async def _started(self, start: Callable[[], Awaitable[None]]) -> None:
        """Start a process, and again if it ends by itself: that breaks a rule, but must not end the run."""
        while True:
            try:
                await start()
            except ProcessFailedError as error:
                self.injected.deaths.append(str(error).splitlines()[0])
            else:
                return

    async def gateway_crash(self, rng: random.Random) -> str:
        """SIGKILL to the payment gateway, whose ledger is durable."""
        del rng
        self.system.supervisor.process("payment gateway").kill()
        return "SIGKILL to the payment gateway"

    async def gateway_fault(self, rng: random.Random) -> str:
        chosen = rng.sample(GATEWAY, 2)
        await self._put(f"{self.system.ports.url('gateway')}/_faults", chosen)
        return "the gateway: " + ", ".join(f"{one['operation']} {one['action']}" for one in chosen)

    async def smtp_fault(self, rng: random.Random) -> str:
        """A fault of the mail server; notifications logs each e-mail that is left without an answer."""
        chosen = rng.choice(SMTP)
        await self._put(f"{self.system.ports.url('mail_catcher')}/_faults", [*self._refusals(), chosen])
        await asyncio.sleep(rng.uniform(*SHORT))
        await self._put(f"{self.system.ports.url('mail_catcher')}/_faults", self._refusals())
        return f"the mail server: {chosen['action']} {chosen.get('status', '')}".rstrip()

    def _refusals(self) -> list[dict[str, Any]]:
        """The mail server's lasting faults: the mailboxes that don't exist."""
        return [
            {"recipient": email, "action": "status", "status": 550, "times": FOR_EVER}
            for email in self.customers.refused
        ]

    async def copies(self, rng: random.Random) -> str:
        """Send records again, at the end of their own partition: some recent ones, some old ones."""
        records = await self._records()
        chosen = [
            *rng.sample(records[-50:], min(COPIES, len(records[-50:]))),
            *rng.sample(records, min(COPIES, len(records))),
        ]
        for record in chosen:
            at = await self._send(record)
            if position(record) in self.injected.made_up:
                self.injected.made_up.add(at)
        return f"{len(chosen)} records came again"

    def _sender(self, oddity: Oddity) -> Any:
        async def inject(rng: random.Random) -> str:
            records = await eventually(lambda: self._suitable(oddity), within=4 * OLD, every=SOON)
            for _ in range(oddity.copies):
                good = with_new_id(rng.choice(records))
                at = await self._send(oddity.change(good))
                self.injected.made_up.add(at)
                self._expect_letters(oddity, good, at)
            return f"{oddity.name} in {at.topic}/{at.partition}"

        return inject

    async def _suitable(self, oddity: Oddity) -> Sequence[Record]:
        own = [record for record in await self._records() if position(record) not in self.injected.made_up]
        return [record for record in own if oddity.of_type in {"", header(record, "ce_type")}]

    def _expect_letters(self, oddity: Oddity, good: Record, at: Position) -> None:
        for group in groups_that_refuse(oddity, good):
            letter = Letter(group, at)
            self.injected.letters.add(letter)
            if oddity.refused_by == "data" and good.value is not None and oddity.change(good).key == good.key:
                self.injected.repairs[letter] = good.value

    async def refused_row(self, rng: random.Random) -> str:
        """Put a row into an outbox that is larger than Kafka takes."""
        service, key = rng.choice(PUBLISHERS), f"refused-{len(self.injected.refused_rows) + 1}"
        async with connected(self.system.database_url(service)) as database:
            await put_row(database, service, key, b"x" * TOO_LARGE)
        letter = Letter(service, key)
        self.injected.letters.add(letter)
        self.injected.refused_rows.append(letter)
        return f"a row of {TOO_LARGE} bytes in the outbox of {service}"

    async def _records(self) -> Sequence[Record]:
        """The topics' records, oldest first in each partition, without poison, to keep the count simple."""
        poisoned = {letter.of for letter in self.injected.letters}
        now = asyncio.get_running_loop().time()
        while not self._log or now - self._read_at > OLD:
            self._log, self._read_at = await read_topics(self.system.kafka.bootstrap_servers, TOPICS), now
            await asyncio.sleep(SOON)
        return [one for one in self._log if position(one) not in poisoned]

    async def _send(self, record: Record) -> Position:
        async with AIOKafkaProducer(
            bootstrap_servers=self.system.kafka.bootstrap_servers, enable_idempotence=True
        ) as producer:
            sent = await producer.send_and_wait(
                record.topic,
                record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
            )
        return Position(record.topic, sent.partition, sent.offset)

    async def _put(self, url: str, faults: Sequence[Mapping[str, Any]]) -> None:
        """Set a sandbox's faults, with retries, because the sandbox may be starting again."""
        sandbox = OrdersApi(self.http, PATIENCE)
        (await sandbox.send("PUT", url, json={"faults": list(faults)})).raise_for_status()

    def _idle(self, rng: random.Random) -> Replica:
        """A running replica that no other fault uses."""
        idle = [one for one in self.system.replicas if one.process.is_running and one.name not in self._busy]
        return rng.choice(idle)

    @contextmanager
    def _busy_with(self, replica: Replica) -> Iterator[None]:
        self._busy.add(replica.name)
        try:
            yield
        finally:
            self._busy.discard(replica.name)

    @contextmanager
    def _interrupted_mails(self, service: str = MAILS) -> Iterator[None]:
        """The block may end an e-mail's worker, or its database, between sending and recording."""
        begun = datetime.now(UTC)
        try:
            yield
        finally:
            if service == MAILS:
                self.injected.interruptions.append(Interruption(begun, datetime.now(UTC)))
