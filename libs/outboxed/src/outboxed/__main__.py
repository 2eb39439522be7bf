"""`python -m outboxed`: the relay of a project as a process of its own, and its dead letters for a person."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, NoReturn, TypeVar

from sqlalchemy.exc import ArgumentError

from outboxed import messages
from outboxed._exporting import exported_spans
from outboxed._extras import MissingExtraError
from outboxed._printable import edit_of, lines_of, object_of, position, printable, text_of
from outboxed.errors import ConfigurationError
from outboxed.joining import DeadLetters, JoinedDeadLetterQueue, Outbox
from outboxed.settings import parse_bootstrap_servers
from outboxed.storage import DeadLetterError, is_transient, reason_of

DATABASE, KAFKA = "DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS"
Found = TypeVar("Found")


def main() -> None:
    """Exit with 2 for a wrong argument and with 1 for a letter that stays as it is; each is one line."""
    parser = argparse.ArgumentParser(prog="python -m outboxed")
    commands = parser.add_subparsers(required=True)
    relay = commands.add_parser("relay", help="send what an outbox has, until SIGTERM")
    relay.add_argument("outbox", help="where the project's Outbox is, as module:name")
    relay.add_argument("--kafka", default=os.environ.get(KAFKA), help=f"host:port,...; by default ${KAFKA}")
    relay.set_defaults(run=_run_relay)
    letters = commands.add_parser("dead-letters", help="what was given up: list, show, edit, replay, discard")
    letters.add_argument("letters", help="where the project's DeadLetters is, as module:name")
    letters.add_argument("--broker", help="FastStream's, as module:name: to replay a record")
    letters.set_defaults(run=_run_letters)
    _add_letter_commands(letters)
    for each in (relay, letters):
        each.add_argument("--database", default=os.environ.get(DATABASE), help=f"its URL; by default ${DATABASE}")
    arguments = parser.parse_args()
    if not arguments.database:
        _refuse(f"give --database, or set {DATABASE}")
    try:
        arguments.run(arguments)
    except (MissingExtraError, ConfigurationError) as error:
        _refuse(str(error))
    except DeadLetterError as error:
        _end(str(error), 1)
    except (ValueError, ArgumentError) as error:
        _refuse(f"the database's URL: {error}")


def _add_letter_commands(letters: argparse.ArgumentParser) -> None:
    commands = letters.add_subparsers(required=True)
    listing = commands.add_parser("list", help="oldest first")
    listing.add_argument("--status", choices=("open", "replayed", "discarded"), default="open")
    listing.add_argument("--source", choices=("event", "task", "outbox"))
    listing.add_argument("--key", help="a record's or a task's, or a task's group")
    listing.add_argument("--type", dest="type_", help="an event's type by its header ce_type, or a task's kind")
    listing.add_argument("--limit", type=int, default=100)
    listing.add_argument("--json", action="store_true", help="an object a line, without a value")
    listing.set_defaults(do=_list)
    editing = commands.add_parser("edit", help="change what a replay will handle; the original is kept beside it")
    editing.add_argument("--value", metavar="FILE", help="has the new value; - is stdin")
    editing.add_argument("--key")
    editing.add_argument("--header", metavar="NAME=VALUE", action="append", default=[])
    editing.add_argument("--remove-header", metavar="NAME", action="append", default=[])
    editing.set_defaults(do=_edit)
    others: dict[str, tuple[str, Callable[..., Awaitable[None]]]] = {
        "show": ("one letter whole, which may hold personal data", _show),
        "replay": ("handle it again", _replay),
        "discard": ("close it; the later events of an outbox row's key are sent without it", _discard),
    }
    for name, (told, do) in others.items():
        commands.add_parser(name, help=told).set_defaults(do=do)
    for name in ("edit", *others):
        commands.choices[name].add_argument("id", type=int, help="the number in the list")


def _run_relay(arguments: argparse.Namespace) -> None:
    if not arguments.kafka:
        _refuse(f"give --kafka, or set {KAFKA}")
    try:
        parse_bootstrap_servers(arguments.kafka)
    except ValueError as error:
        _refuse(f"Kafka's address {error}")
    outbox = _named(arguments.outbox, Outbox)  # whose module may set a provider of its own
    with exported_spans("outboxed-relay"):
        asyncio.run(_relay(outbox, arguments.database, arguments.kafka))


async def _relay(outbox: Outbox, database: str, kafka: str) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with outbox.relay(database, kafka):
        await stop.wait()


def _run_letters(arguments: argparse.Namespace) -> None:
    letters = _named(arguments.letters, DeadLetters)
    broker = None if arguments.broker is None else _named(arguments.broker, _broker_class())
    try:
        asyncio.run(_with(letters.queue(arguments.database, broker), broker, arguments))
    except (DeadLetterError, ArgumentError, MissingExtraError):
        raise
    except Exception as error:
        if is_transient(error):
            _end(f"the database does not answer: {reason_of(error)}", 1)
        if arguments.do is not _replay:
            raise
        _end(f"dead letter {arguments.id} was refused again: {messages.reason_of(error)}", 1)


async def _with(queue: JoinedDeadLetterQueue, broker: Any, arguments: argparse.Namespace) -> None:
    try:
        await arguments.do(queue, arguments)
    finally:
        if broker is not None:
            await broker.stop()


async def _list(queue: JoinedDeadLetterQueue, arguments: argparse.Namespace) -> None:
    names = ("status", "source", "key", "type_", "limit")
    for letter in await queue.list(**{name: getattr(arguments, name) for name in names}):
        if arguments.json:
            _say(json.dumps(object_of(letter)))
            continue
        cells = (letter.id, letter.source, letter.type, letter.topic, text_of(letter.key), position(letter))
        _say("\t".join(printable(cell) for cell in (*cells, f"{letter.failed_at:%F %T}", letter.reason)))


async def _show(queue: JoinedDeadLetterQueue, arguments: argparse.Namespace) -> None:
    for name, value in lines_of(await queue.show(arguments.id)):
        _say(f"{printable(name)}: {printable(value)}")


async def _edit(queue: JoinedDeadLetterQueue, arguments: argparse.Namespace) -> None:
    try:
        changes = edit_of(arguments.key, arguments.value, arguments.header, arguments.remove_header)
    except ValueError as error:
        _refuse(str(error))
    await queue.edit(arguments.id, changes)
    _say(f"dead letter {arguments.id} edited")


async def _replay(queue: JoinedDeadLetterQueue, arguments: argparse.Namespace) -> None:
    await queue.replay(arguments.id)
    _say(f"dead letter {arguments.id} replayed")


async def _discard(queue: JoinedDeadLetterQueue, arguments: argparse.Namespace) -> None:
    await queue.discard(arguments.id)
    _say(f"dead letter {arguments.id} discarded")


def _broker_class() -> type[Any]:
    from faststream.kafka import KafkaBroker  # noqa: PLC0415 - only who names a broker has it

    return KafkaBroker


def _named(where: str, wanted: type[Found]) -> Found:
    module, _, name = where.partition(":")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError as error:
        _refuse(f"{where}: {error}")
    if not isinstance(found, wanted):
        example = {Outbox: "outbox", DeadLetters: "letters"}.get(wanted, "broker")
        told = f"there is no {wanted.__name__} of that name; give it as module:name, such as shop.messaging:{example}"
        _refuse(f"{where}: {told}")
    return found


def _say(line: str) -> None:
    print(line)  # noqa: T201 - it talks to a person


def _refuse(problem: str) -> NoReturn:
    _end(problem, 2)


def _end(problem: str, status: int) -> NoReturn:
    print(f"outboxed: {printable(problem)}", file=sys.stderr)  # noqa: T201 - as above
    raise SystemExit(status)


if __name__ == "__main__":
    main()
