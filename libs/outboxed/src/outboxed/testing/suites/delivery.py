"""Tests of events from Kafka to PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
from backing_services.waiting import eventually

from outboxed.consuming import ConsumerRole
from outboxed.messages import attributes_of
from outboxed.storage import SqlTransactions
from outboxed.testing.adapters import SqlBackend
from outboxed.testing.services import running
from outboxed.testing.topics import Topics

MakeConsumer = Callable[..., ConsumerRole]


class DeliverySuite:
    """Events from Kafka to PostgreSQL. Needs the fixtures `transactions`, `topics` and `consumer_role`."""

    topic: ClassVar[str]

    async def event(self, transactions: Any) -> Any:
        """A record of the topic, that changes something."""
        raise NotImplementedError

    async def is_handled(self, transactions: Any, event: Any) -> bool:
        """Whether what it changes has changed."""
        raise NotImplementedError

    async def effects(self, backend: SqlBackend) -> int:
        """The tasks or events that came of all events."""
        return len(await backend.tasks())

    async def test_an_event_that_is_sent_twice_is_handled_once(
        self, transactions: SqlTransactions[Any], consumer_role: MakeConsumer, topics: Topics
    ) -> None:
        event, marker = [await self.event(transactions) for _ in range(2)]

        async with running(consumer_role().run):
            await topics.send(event)
            await eventually(lambda: self.is_handled(transactions, event))
            await topics.send(event, event, marker)
            await eventually(lambda: self.is_handled(transactions, marker))
            await eventually(lambda: self._are_committed(topics, 4))

        backend = SqlBackend(transactions)
        handled = {attributes_of(record).identity for record in (event, marker)}
        assert await backend.inbox() == handled
        assert await self.effects(backend) == len(handled)

    async def test_offsets_are_committed_after_the_transaction_so_what_a_dead_process_had_in_hand_comes_again(
        self, transactions: SqlTransactions[Any], consumer_role: MakeConsumer, topics: Topics
    ) -> None:
        event = await self.event(transactions)
        await topics.send(event)
        in_hand = asyncio.Event()

        @asynccontextmanager
        async def never_commits() -> AsyncIterator[Any]:
            async with transactions() as uow:
                yield uow
                in_hand.set()
                await anyio.sleep_forever()

        role = asyncio.ensure_future(consumer_role(never_commits).run(anyio.Event()))
        await eventually(in_hand.is_set)
        role.cancel()
        await asyncio.wait({role})
        assert await topics.committed(self.topic) == 0
        assert not await self.is_handled(transactions, event)

        async with running(consumer_role().run):
            await eventually(lambda: self.is_handled(transactions, event))
            await eventually(lambda: self._are_committed(topics, 1))

    async def _are_committed(self, topics: Topics, count: int) -> bool:
        return await topics.committed(self.topic) == count
