"""Several brokers in one setting: each client gets the same list, and one that is dead stops none of them."""

from dataclasses import replace
from uuid import uuid4

import pytest
from backing_services.processes import free_port
from backing_services.waiting import eventually
from outboxed.relay import Relay
from outboxed.settings import parse_bootstrap_servers
from outboxed.storage import tables
from outboxed.testing.services import running
from outboxed.testing.topic_log import lag, read_topics
from outboxed.testing.topics import Topics

from ..sample import moved
from .conftest import Transactions, count, role_of


@pytest.mark.parametrize("order", ["the dead one first", "the dead one last"])
async def test_of_two_brokers_one_may_be_dead(transactions: Transactions, topics: Topics, order: str) -> None:
    # apache/streampipes#4849, akka/alpakka-kafka#417: the producer took both, the consumer took them for one name
    addresses = [f"127.0.0.1:{free_port()}", *topics.kafka.bootstrap_servers]
    setting = ",".join(addresses if order == "the dead one first" else reversed(addresses))
    both = Topics(replace(topics.kafka, bootstrap_servers=parse_bootstrap_servers(setting)))
    relay = Relay(transactions.engine, both.kafka, transactions.events_appended)
    consumer, _ = role_of(both, transactions)

    async with running(relay.run, consumer.run):
        await both.send(moved(uuid4(), "1.00"))
        await eventually(lambda: _relayed(transactions, both))

    names = {both.kafka.topic("moves"): 4}
    assert len(await read_topics(setting, names)) == 1
    assert await lag(setting, both.group, names) == 0


async def _relayed(transactions: Transactions, topics: Topics) -> bool:
    """Whether the consumer has handled the event and the relay has sent what followed from it."""
    handled, waiting = await count(transactions.engine, tables.inbox), await count(transactions.engine, tables.outbox)
    return (handled, waiting) == (1, 0) and await topics.size("accounts") == 1
