"""The order of a key and what commits promise, while writers, relays and consumers come, go and die at random.

`ORDERING_SEED` repeats a schedule; a failure prints it.
"""

import asyncio
import os
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID, uuid4

import anyio
import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, TopicPartition
from backing_services.kafka import GivenKafka, KafkaCluster
from backing_services.waiting import eventually
from outboxed.consuming import ConsumerRole, Route
from outboxed.messages import ConsumedAmount, ConsumedEvent
from outboxed.relay import Relay
from outboxed.storage import tables
from outboxed.testing.services import consumer_role
from outboxed.testing.topics import PARTITIONS, Topics

from ..sample import Account, AccountCredited
from .compat import bury, has_begun
from .conftest import TOPICS, Transactions, kill_consumer

SEED = int(os.environ.get("ORDERING_SEED") or random.randrange(2**16))  # noqa: S311 - a schedule, no secret
STEPS = 10
WRITERS = 3
KEYS = 12
MAX_BACKLOG = 400
SESSION_MS = 2000  # so that a killed consumer's partitions move on soon
PATIENCE = 30.0  # seconds


class AccountSeen(ConsumedEvent, key_field="account_id"):
    """Its amount is the account's version."""

    type: ClassVar[str] = AccountCredited.type
    topic: ClassVar[str] = AccountCredited.topic

    account_id: UUID
    amount: ConsumedAmount


@pytest.fixture
async def topics(real_kafka_cluster: KafkaCluster) -> Topics:
    topics = await Topics.create(real_kafka_cluster, TOPICS)
    if isinstance(real_kafka_cluster, GivenKafka):
        return topics  # which may allow no session below 6 s
    return Topics(replace(topics.kafka, session_timeout_ms=SESSION_MS))


class Accounts:
    """Writers change a few accounts a transaction, each under its lock; they wait for consumers that fall behind."""

    def __init__(self, transactions: Transactions, chance: random.Random) -> None:
        self.keys = [uuid4() for _ in range(KEYS)]
        self.versions = dict.fromkeys(self.keys, 1)
        self.seen: dict[UUID, list[int]] = {key: [] for key in self.keys}
        self.stop = False
        self._transactions = transactions
        self._chance = chance

    async def open(self) -> None:
        async with self._transactions() as uow:
            for key in self.keys:
                uow.accounts.add(Account(key))

    async def write(self) -> None:
        while not self.stop:
            await eventually(lambda: self._backlog < MAX_BACKLOG, within=PATIENCE)
            keys = self._chance.sample(self.keys, 4)
            async with self._transactions() as uow:
                await uow.lock([str(key) for key in keys])
                changed = [await self._credit(key, uow) for key in keys]
            # of two writers the later may come here first
            self.versions.update({each.id: max(each.version, self.versions[each.id]) for each in changed})

    async def handle(self, event: AccountSeen, _: Any) -> None:
        self.seen[event.account_id].append(int(event.amount))

    def progress(self) -> Callable[[], bool]:
        """Says whether every account has been heard of again since now."""
        before = {key: len(set(seen)) for key, seen in self.seen.items()}
        return lambda: all(len(set(seen)) > before[key] for key, seen in self.seen.items())

    @property
    def written(self) -> int:
        return sum(self.versions.values()) - len(self.keys)

    @property
    def _backlog(self) -> int:
        return self.written - sum(len(set(seen)) for seen in self.seen.values())

    async def _credit(self, key: UUID, uow: Any) -> Account:
        account: Account = (await uow.accounts.get(key)).credit(Decimal(1))
        uow.accounts.save(account)
        event = AccountCredited(account_id=key, amount=Decimal(account.version))
        uow.events.append(event, sequence=account.version)
        return account


class Part:
    """A relay or a consumer that runs; it can be told to stop, or die."""

    def __init__(self, topics: Topics, transactions: Transactions, accounts: Accounts, kind: str) -> None:
        self._stop = anyio.Event()
        self._role: ConsumerRole | None = None
        run: Callable[[anyio.Event], Coroutine[Any, Any, None]]
        if kind == "relay":
            run = Relay(transactions.engine, topics.kafka, transactions.events_appended).run
        else:
            self._role, _ = consumer_role(topics, [Route(AccountSeen, accounts.handle)], transactions)
            run = self._role.run
        self._running = asyncio.create_task(run(self._stop))

    async def stop(self) -> None:
        client: Any = self._role and self._role._subscriber.consumer  # noqa: SLF001 - a role keeps it to itself
        self._stop.set()
        await self._running
        if client is not None:
            await bury(client)

    async def die(self) -> None:
        if self._role is not None:
            subscriber = self._role._subscriber  # noqa: SLF001 - a role keeps it to itself
            await eventually(lambda: has_begun(subscriber.consumer), within=PATIENCE)
            await kill_consumer(self._role, self._running)
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


class Fleet:
    """Two relays and two consumers, which a schedule kills, stops and adds to, down to one and up to three of each."""

    def __init__(self, make: Callable[[str], Part], chance: random.Random) -> None:
        self.schedule: list[str] = []
        self._make = make
        self._chance = chance
        self._parts = {kind: [make(kind), make(kind)] for kind in ("relay", "consumer")}
        self._kills = Counter({"relay": 4, "consumer": 2})  # a killed consumer costs a session

    async def step(self) -> bool:
        """One change; says whether to wait until everything flows again before the next."""
        kind = self._chance.choice(sorted(self._parts))
        parts = self._parts[kind]
        possible = ["start"] * (len(parts) < 3) + ["stop", "kill"] * (len(parts) > 1)
        action = self._chance.choice([each for each in possible if each != "kill" or self._kills[kind]])
        waits = self._chance.random() < 0.6
        self.schedule.append(f"{action} a {kind}{', and wait' * waits}")
        if action == "start":
            parts.append(self._make(kind))
        elif action == "stop":
            await parts.pop(self._chance.randrange(len(parts))).stop()
        else:
            self._kills[kind] -= 1
            await parts.pop(self._chance.randrange(len(parts))).die()
        return waits

    async def stop(self) -> None:
        for part in (part for parts in self._parts.values() for part in parts):
            await part.stop()


class Watch:
    """Reads the topic as Kafka has it, and looks at the group's commits all the time."""

    def __init__(self, topics: Topics, transactions: Transactions) -> None:
        self.records: dict[TopicPartition, list[Any]] = defaultdict(list)
        self.looks = 0
        self.too_early: list[str] = []
        self._partitions = [TopicPartition(topics.kafka.topic("accounts"), number) for number in range(PARTITIONS)]
        self._options = topics.kafka.client_options()
        self._group = topics.group
        self._transactions = transactions

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Until the end of the block, which is followed by a last look at all that the topic has then."""
        async with (
            AIOKafkaConsumer(**self._options, auto_offset_reset="earliest") as reader,
            AIOKafkaConsumer(**self._options, group_id=self._group, enable_auto_commit=False) as member_of_nothing,
        ):
            reader.assign(self._partitions)
            looking = asyncio.create_task(self._look_again_and_again(reader, member_of_nothing))
            try:
                yield
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
            ends = await reader.end_offsets(self._partitions)
            while any([await reader.position(partition) < end for partition, end in ends.items()]):
                await self._look(reader, member_of_nothing)
            await self._look(reader, member_of_nothing)

    async def _look_again_and_again(self, reader: Any, group: Any) -> None:
        while True:
            await self._look(reader, group)

    async def _look(self, reader: Any, group: Any) -> None:
        for partition, records in (await reader.getmany(timeout_ms=50)).items():
            self.records[partition] += records
        # the inbox only grows: read after the commits, it holds all that they cover
        committed = {partition: await group.committed(partition) or 0 for partition in self._partitions}
        async with self._transactions.engine.connect() as connection:
            handled = set((await connection.execute(sa.select(tables.inbox.c.event_id))).scalars())
        for partition, offset in committed.items():
            for record in self.records[partition]:
                if record.offset < offset and _header(record, "ce_id") not in handled:
                    self.too_early.append(f"{partition.partition}/{record.offset}, committed {offset}")
        self.looks += 1

    def sequences(self) -> Mapping[UUID, Sequence[int]]:
        """Of each key, in the topic's order, at the first occurrence of each id."""
        first: dict[str, tuple[UUID, int]] = {}
        for records in self.records.values():
            for record in records:
                entry = UUID(record.key.decode()), int(_header(record, "ce_sequence"))
                first.setdefault(_header(record, "ce_id"), entry)
        found = defaultdict(list)
        for key, sequence in first.values():
            found[key].append(sequence)
        return found


def _header(record: Any, name: str) -> str:
    return str(dict(record.headers)[name].decode())


async def test_keys_keep_their_order_and_commits_pass_nothing_unhandled_whoever_comes_goes_or_dies(
    topics: Topics, transactions: Transactions
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - as above
    accounts = Accounts(transactions, random.Random(SEED))  # noqa: S311 - as above
    watch = Watch(topics, transactions)
    await accounts.open()
    fleet = Fleet(lambda kind: Part(topics, transactions, accounts, kind), chance)

    async with watch.watching():
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(accounts.write())
            await eventually(accounts.progress(), within=PATIENCE)
            for _ in range(STEPS):
                if await fleet.step():
                    await eventually(accounts.progress(), within=PATIENCE, describe=lambda: _told(fleet))
            accounts.stop = True
        await eventually(
            lambda: all(max(accounts.seen[key]) == version for key, version in accounts.versions.items()),
            within=PATIENCE,
            describe=lambda: _told(fleet),
        )
        await fleet.stop()

    every = {key: list(range(2, version + 1)) for key, version in accounts.versions.items()}
    handled = {key: list(dict.fromkeys(seen)) for key, seen in accounts.seen.items()}
    assert watch.sequences() == every, _told(fleet, "the topic keeps the order of each key and has every event")
    assert handled == every, _told(fleet, "handlers see each key's events in order, and every one")
    assert watch.too_early == [], _told(fleet, "a commit never passes an event that is not handled")
    assert watch.looks > STEPS


def _told(fleet: Fleet, broken: str = "") -> str:
    return "\n".join([f"{broken}\nORDERING_SEED={SEED} repeats this schedule:", *fleet.schedule])
