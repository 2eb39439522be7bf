"""The consumer of notifications, with its broker, its transactions and its metrics, and no other role beside it."""

from dataclasses import replace

import anyio
from backing_services.postgres import connected
from backing_services.waiting import eventually
from notifications.consumed_events import PaymentRefunded
from notifications.handlers import notify_of_refund
from notifications.storage import SqlNotificationsUnitOfWork
from outboxed.consuming import BatchConsumer, ConsumerRole, Route, create_broker, subscribe
from outboxed.process import Metrics
from outboxed.settings import KafkaSettings, parse_bootstrap_servers
from outboxed.storage import Clock, SqlTransactions, create_engine

from tools.measuring.service import NAME, Log, run_as_service
from tools.measuring.turns import Turn, Watch

HANDLED = "select count(*) from inbox"
LOOK_EVERY = 0.1
"""A look costs the process a tenth of a millisecond or two: a five-hundredth of its CPU."""
WITHIN = 300.0


def consume(url: str, bootstrap_servers: str, group: str, events: int, log: Log) -> Turn:
    """Handle what the topic has, in a new process. Raises StillWaitingError."""
    return run_as_service(_consumed(url, bootstrap_servers, group, events), log)


async def _consumed(url: str, bootstrap_servers: str, group: str, events: int) -> Turn:
    clock = Clock()
    metrics = Metrics(clock)
    engine = create_engine(url, application_name=NAME)
    transactions = SqlTransactions(engine, SqlNotificationsUnitOfWork, source=f"/{NAME}", clock=clock)
    transactions = replace(transactions, committed=metrics.committed)
    consumer = BatchConsumer(group, [Route(PaymentRefunded, notify_of_refund)], transactions, metrics)
    kafka = KafkaSettings(parse_bootstrap_servers(bootstrap_servers))
    broker = create_broker(kafka)
    role = ConsumerRole(broker, subscribe(broker, consumer, kafka), consumer)
    stop = anyio.Event()
    async with connected(url) as database, anyio.create_task_group() as tasks:

        async def all_are_handled() -> bool:
            return int(await database.fetchval(HANDLED)) >= events

        watch = Watch()
        tasks.start_soon(role.run, stop)
        await eventually(all_are_handled, within=WITHIN, every=LOOK_EVERY)
        turn = watch.turn(events)
        stop.set()
    await engine.dispose()
    return turn
