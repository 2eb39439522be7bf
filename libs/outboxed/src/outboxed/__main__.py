"""`python -m outboxed relay shop.messaging:outbox`: the relay of a project as a process of its own."""

import argparse
import asyncio
import os
import signal
import sys
from importlib import import_module
from typing import NoReturn

from sqlalchemy.exc import ArgumentError

from outboxed._extras import MissingExtraError
from outboxed.joining import Outbox

DATABASE, KAFKA = "DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS"


def main() -> None:
    """Run until SIGTERM or SIGINT. A wrong argument is one line and exit 2."""
    parser = argparse.ArgumentParser(prog="python -m outboxed")
    relay = parser.add_subparsers(required=True).add_parser("relay", help="send what an outbox has, until SIGTERM")
    relay.add_argument("outbox", help="where the project's Outbox is, as module:name")
    relay.add_argument("--database", default=os.environ.get(DATABASE), help=f"its URL; by default ${DATABASE}")
    relay.add_argument("--kafka", default=os.environ.get(KAFKA), help=f"host:port,...; by default ${KAFKA}")
    arguments = parser.parse_args()
    for option, value, variable in (("database", arguments.database, DATABASE), ("kafka", arguments.kafka, KAFKA)):
        if not value:
            _refuse(f"give --{option}, or set {variable}")
    asyncio.run(_relay(_outbox(arguments.outbox), arguments.database, arguments.kafka))


async def _relay(outbox: Outbox, database: str, kafka: str) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with outbox.relay(database, kafka):
            await stop.wait()
    except MissingExtraError as error:
        _refuse(str(error))
    except (ValueError, ArgumentError) as error:
        _refuse(f"the database's URL: {error}")


def _outbox(where: str) -> Outbox:
    module, _, name = where.partition(":")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError as error:
        _refuse(f"{where}: {error}")
    if not isinstance(found, Outbox):
        _refuse(f"{where}: there is no Outbox of that name; give it as module:name, such as shop.messaging:outbox")
    return found


def _refuse(problem: str) -> NoReturn:
    print(f"outboxed: {problem}", file=sys.stderr)  # noqa: T201 - it talks to a person
    raise SystemExit(2)


if __name__ == "__main__":
    main()
