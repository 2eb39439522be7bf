"""Members of one group that come and go, which the mock can't show: nothing is lost, repeated, or out of order."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import anyio
import pytest
import sqlalchemy as sa
from chassis import tables
from testkit.kafka import KafkaCluster
from testkit.topics import Topics
from testkit.waiting import eventually

from ..sample import MoneyMoved, credit, moved
from .conftest import TOPICS, Transactions, count, role_of

PATIENCE = 30.0  # seconds: a rebalance waits for every member


@pytest.fixture
async def topics(real_kafka_cluster: KafkaCluster) -> Topics:
    return await Topics.create(real_kafka_cluster, TOPICS)


class Member:
    """A consumer of the test's group, which counts what it handles."""

    def __init__(self, topics: Topics, transactions: Transactions) -> None:
        self.handled = 0
        self.leave = anyio.Event()
        self._role, _ = role_of(topics, transactions, handle=self._credit)

    async def joins(self, group: asyncio.TaskGroup) -> None:
        """Return when it has partitions, and events on them."""
        group.create_task(self._role.run(self.leave))
        await eventually(lambda: self.handled > 0, within=PATIENCE)

    async def _credit(self, event: MoneyMoved, uow: Any) -> None:
        await credit(event, uow)
        self.handled += 1


class Load:
    """Sends rounds of one event for each account, until told to stop."""

    def __init__(self, topics: Topics) -> None:
        self.amounts: list[str] = []
        self.accounts = [uuid4() for _ in range(12)]
        self.stop = asyncio.Event()
        self._topics = topics

    async def run(self) -> None:
        while not self.stop.is_set():
            amount = f"{100 + len(self.amounts)}.00"
            await self._topics.send(*(moved(account, amount) for account in self.accounts))
            self.amounts.append(amount)


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
    topics: Topics, transactions: Transactions
) -> None:
    first, second, third = (Member(topics, transactions) for _ in range(3))
    load = Load(topics)

    async def is_all_handled() -> bool:
        return await count(transactions.engine, tables.inbox) == len(load.accounts) * len(load.amounts)

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
