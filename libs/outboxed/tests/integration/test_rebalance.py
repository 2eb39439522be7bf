"""Members of one group that come and go, which the mock can't show: nothing is lost, repeated, or out of order."""

import asyncio
import json
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from itertools import islice
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from backing_services.kafka import KafkaCluster
from backing_services.waiting import eventually
from outboxed.messages import Record
from outboxed.process import Role, run_roles
from outboxed.storage import tables
from outboxed.testing.topics import PARTITIONS, Topics

from ..sample import MoneyMoved, credit, moved
from .conftest import TOPICS, Transactions, count, keys_of, kill_consumer, role_of

PATIENCE = 30.0  # seconds: a rebalance waits for every member
Position = tuple[str, int, int]
Partition = tuple[str, int]


@pytest.fixture
async def topics(real_kafka_cluster: KafkaCluster) -> Topics:
    return await Topics.create(real_kafka_cluster, TOPICS)


class Member:
    """A consumer of the test's group, which counts what it handles and keeps what it is offered."""

    def __init__(self, topics: Topics, transactions: Transactions) -> None:
        self.handled = 0
        self.offered: list[Position] = []
        self.leave = anyio.Event()
        self.role, consumer = role_of(topics, transactions, handle=self._credit)
        self._handle, consumer.handle = consumer.handle, self._keep  # type: ignore[method-assign]  # looks on

    async def joins(self, group: asyncio.TaskGroup) -> None:
        """Return when it has partitions, and events on them."""
        group.create_task(self.role.run(self.leave))
        await eventually(lambda: self.handled > 0, within=PATIENCE)

    async def shares(self, other: "Member", group: asyncio.TaskGroup) -> set[Partition]:
        """Let another join as soon as this one handles events; the partitions that are its own from then on."""
        await eventually(lambda: self.handled > 0, within=PATIENCE)
        await other.joins(group)
        both = len(self.offered)
        await eventually(lambda: len(self.offered) > both, within=PATIENCE)
        return {position[:2] for position in self.offered[both:]}

    def takes_over(self, partitions: set[Partition], *, within: float) -> Awaitable[Any]:
        """Return when it has been offered something of each of them since now."""
        before = len(self.offered)
        return eventually(lambda: partitions <= {position[:2] for position in self.offered[before:]}, within=within)

    async def _keep(self, records: Sequence[Record]) -> None:
        self.offered += [(record.topic, record.partition, record.offset) for record in records]
        await self._handle(records)

    async def _credit(self, event: MoneyMoved, uow: Any) -> None:
        await credit(event, uow)
        self.handled += 1


class Load:
    """Sends rounds of one event for each account, until told to stop. Each partition has three of them."""

    def __init__(self, topics: Topics) -> None:
        self.amounts: list[str] = []
        self.accounts = [key for partition in range(PARTITIONS) for key in islice(keys_of(partition), 3)]
        self.stop = asyncio.Event()
        self._topics = topics

    @property
    def sent(self) -> int:
        return len(self.accounts) * len(self.amounts)

    async def run(self) -> None:
        while not self.stop.is_set():
            amount = f"{100 + len(self.amounts)}.00"
            await self._topics.send(*(moved(account, amount) for account in self.accounts))
            self.amounts.append(amount)


@pytest.fixture
def load(topics: Topics) -> Load:
    return Load(topics)


@pytest.fixture
def members(topics: Topics, transactions: Transactions) -> tuple[Member, Member]:
    return Member(topics, transactions), Member(topics, transactions)


async def credited(transactions: Transactions) -> Mapping[str, list[str]]:
    """The amounts of each account, in the order in which they took effect."""
    async with transactions.engine.connect() as connection:
        rows = await connection.execute(
            sa.select(tables.outbox.c.key, tables.outbox.c.value).order_by(tables.outbox.c.id)
        )
    amounts = defaultdict(list)
    for key, value in rows:
        amounts[key].append(json.loads(value)["amount"])
    return amounts


async def test_members_that_come_and_go_handle_each_event_once_and_in_the_order_of_its_key(
    topics: Topics, transactions: Transactions, load: Load
) -> None:
    first, second, third = (Member(topics, transactions) for _ in range(3))

    async def is_all_handled() -> bool:
        return await count(transactions.engine, tables.inbox) == load.sent

    async with asyncio.TaskGroup() as group:
        sending = group.create_task(load.run())
        await first.joins(group)
        await second.joins(group)
        first.leave.set()
        await third.joins(group)
        load.stop.set()
        await sending
        await eventually(is_all_handled, within=PATIENCE)
        second.leave.set()
        third.leave.set()

    assert await credited(transactions) == {str(account): load.amounts for account in load.accounts}


async def test_a_member_that_is_told_to_stop_hands_over_within_two_seconds_and_no_record_is_offered_twice(
    transactions: Transactions, load: Load, members: tuple[Member, Member]
) -> None:
    leaving, staying = members

    async def is_all_handled() -> bool:
        return await count(transactions.engine, tables.inbox) == load.sent

    async with asyncio.TaskGroup() as group:
        sending = group.create_task(load.run())
        process = group.create_task(run_roles([Role("consumer", leaving.role.run, grace=leaving.role.grace)]))
        theirs = await leaving.shares(staying, group)

        began = time.monotonic()
        taken_over = staying.takes_over(theirs, within=PATIENCE)
        os.kill(os.getpid(), signal.SIGTERM)
        status = await process
        stopped = time.monotonic() - began
        await taken_over
        handed_over = time.monotonic() - began

        load.stop.set()
        await sending
        await eventually(is_all_handled, within=PATIENCE)
        staying.leave.set()

    offers = Counter([*leaving.offered, *staying.offered])
    assert status == 0
    assert theirs
    assert stopped <= handed_over < 2
    assert {position for position, times in offers.items() if times > 1} == set()
    assert len(offers) == load.sent


async def test_a_killed_members_partitions_are_anothers_within_ten_seconds_by_default(
    load: Load, members: tuple[Member, Member]
) -> None:
    killed, staying = members

    async with asyncio.TaskGroup() as group:
        sending = group.create_task(load.run())
        process = asyncio.create_task(killed.role.run(killed.leave))
        theirs = await killed.shares(staying, group)

        taken_over = staying.takes_over(theirs, within=10)
        await kill_consumer(killed.role, process)
        await taken_over

        load.stop.set()
        await sending
        staying.leave.set()

    assert theirs
