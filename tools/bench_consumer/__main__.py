"""`python -m tools.bench_consumer`: what an event costs the consumer of notifications, beside a loop by hand.

All take turns on one Kafka and one PostgreSQL, each turn in a process of its own. An event makes one row.
"""

import asyncio
import logging
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated

import typer
from backing_services.choice import Unavailable, choose_real_kafka
from backing_services.kafka import KafkaError
from backing_services.postgres import EmbeddedPostgres, connected
from rich.console import Console

from tools.bench_consumer import events, orm, ours, raw
from tools.measuring.service import Log, migrated
from tools.measuring.turns import Turn, Turns, cost_table, in_own_process, in_turns, ratio
from tools.measuring.unmeasured import one_line_for_a_person

PARTITIONS = 4
ONE_BY_ONE = "one by one, with an ORM"
FEWER = 20
"""Times fewer events for one by one, which takes as much longer; those that warm it up don't count."""
BY_HAND, SILENT, USUAL = "a loop by hand", "outboxed, log at WARNING", "outboxed, log at INFO"
LEVELS = {SILENT: "WARNING", USUAL: "INFO"}
GOAL, AT_MOST = 3.0, 12.0
"""Times the CPU of the loop by hand, with the log as it is by default."""


def main(
    number: Annotated[int, typer.Option("--events", min=1000, help="Events of a turn.")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Exit with 1 if an event costs more than AT_MOST, with 2 if it could not be measured."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new topic has no leader for a moment
    with one_line_for_a_person("consumer"):
        turns = _measured(number, rounds)
    Console().print(cost_table(turns, to=BY_HAND, item="an event", title=_title(number)))
    usual, silent = (ratio(turns, name, BY_HAND) for name in (USUAL, SILENT))
    print(
        f"consumer: an event costs {usual:.2f} times the CPU of a loop by hand, {silent:.2f} with the log at WARNING; "
        f"at most {AT_MOST}, the goal is {GOAL}"
    )
    sys.exit(usual > AT_MOST)


def _title(number: int) -> str:
    return f"{number:,} events a turn, {number // FEWER:,} of {ONE_BY_ONE}; one row each"


def _measured(number: int, rounds: int) -> Turns:
    if isinstance(kafka := choose_real_kafka(), Unavailable):
        raise KafkaError(kafka.why)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-consumer-")))
        postgres = stack.enter_context(EmbeddedPostgres())
        stack.callback(kafka.stop)
        kafka.start()
        url = asyncio.run(migrated(postgres))
        asyncio.run(kafka.create_topics({events.TOPIC: PARTITIONS}))
        asyncio.run(events.send(kafka.bootstrap_servers, number))
        groups = map("bench-{}".format, count())

        def by_hand(consume: Callable[..., Turn], number: int) -> Turn:
            asyncio.run(_emptied(url))
            return in_own_process(consume, url, kafka.bootstrap_servers, events.TOPIC, next(groups), number)

        def by_outboxed(level: str) -> Turn:
            asyncio.run(_emptied(url))
            log = Log(level, folder / "log")
            return in_own_process(ours.consume, url, kafka.bootstrap_servers, next(groups), number, log)

        kinds = {BY_HAND: partial(by_hand, raw.consume, number)}
        kinds |= {name: partial(by_outboxed, level) for name, level in LEVELS.items()}
        return in_turns({**kinds, ONE_BY_ONE: partial(by_hand, orm.consume, number // FEWER)}, rounds)


async def _emptied(url: str) -> None:
    async with connected(url) as database:
        await database.execute("truncate inbox, order_notifications")


if __name__ == "__main__":
    typer.run(main)
