"""The commands of a project: its relay as a process of its own, and its dead letters."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from backing_services.kafka import MockKafka
from backing_services.postgres import DatabaseIsolation
from outboxed import Outbox
from outboxed.settings import KafkaSettings, parse_bootstrap_servers
from outboxed.testing.topics import Topics
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

MODULE = """
from faststream.kafka import KafkaBroker
from outboxed import DeadLetters, Outbox

outbox = Outbox(topic="accounts")
letters = DeadLetters(outbox=outbox)
broker = KafkaBroker("127.0.0.1:1")
nothing = 1
"""
WITH_BROKER = ("-m", "outboxed", "dead-letters", "shop:letters", "--broker", "shop:broker")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(MODULE)
    return tmp_path


async def started(project: Path, *command: str) -> asyncio.subprocess.Process:
    # with PYTHONPATH, by which a copy of the tree is the one that is tested
    given = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=project, env=given, stdin=pipe, stdout=pipe, stderr=pipe
    )


async def run(project: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await started(project, "-m", "outboxed", "relay", *arguments)


async def letters(project: Path, url: str, *arguments: str, typed: bytes = b"") -> tuple[int | None, str, str]:
    """The exit status, and what it prints on both streams."""
    process = await started(project, "-m", "outboxed", "dead-letters", "shop:letters", "--database", url, *arguments)
    output, errors = await process.communicate(typed)
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT], ids=lambda told: told.name)
async def test_a_process_sends_what_others_commit_and_ends_when_it_is_told(
    project: Path, isolation: DatabaseIsolation, own_kafka: MockKafka, told: signal.Signals
) -> None:
    topics = Topics(KafkaSettings(parse_bootstrap_servers(own_kafka.bootstrap_servers), fetch_max_wait_ms=20))
    own_kafka.create_topic("accounts", 1)
    outbox = Outbox(topic="accounts")
    async with isolation.private() as url:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(outbox.metadata.create_all)
        process = await run(project, "shop:outbox", "--database", url, "--kafka", own_kafka.bootstrap_servers)
        try:
            async with AsyncSession(engine) as session, session.begin():
                await outbox.publish(session, {"a": 1})
            await topics.read("accounts", 1, within=60)  # a new process has to import everything first
            await engine.dispose()
            process.send_signal(told)
            async with asyncio.timeout(30):
                _, errors = await process.communicate()
            assert process.returncode == 0, errors.decode()
        finally:
            if process.returncode is None:  # the test has failed: nothing of it stays
                process.kill()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("shop:outbox",), "outboxed: give --database, or set DATABASE_URL"),
        (("shop:outbox", "--database", "postgresql://h/d"), "outboxed: give --kafka, or set KAFKA_BOOTSTRAP_SERVERS"),
        (("shop:nothing", "--database", "x", "--kafka", "y"), "outboxed: shop:nothing: there is no Outbox"),
        (("shops:outbox", "--database", "x", "--kafka", "y"), "outboxed: shops:outbox: No module named 'shops'"),
        (("shop:outbox", "--database", "x", "--kafka", "y"), "outboxed: the database's URL: "),
        (("shop:outbox", "--database", "x", "--kafka", "y:z"), "outboxed: Kafka's address must be host:port"),
    ],
)
async def test_a_wrong_argument_is_one_line(project: Path, arguments: tuple[str, ...], line: str) -> None:
    process = await run(project, *arguments)
    _, errors = await process.communicate()

    assert process.returncode == 2
    assert errors.decode().splitlines()[0].startswith(line)
    assert len(errors.decode().splitlines()) == 1


@pytest.fixture
async def url(isolation: DatabaseIsolation) -> AsyncIterator[str]:
    """A database with two letters: a row of the outbox, and a record whose key obeys nobody's terminal."""
    outbox = Outbox(topic="accounts")
    async with isolation.private() as url:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(outbox.metadata.create_all)
            common = {"headers": b"[]", "value": b"v", "reason": "why"}
            row = {"source": "outbox", "topic": "accounts", "offset": 7, "key": b"k", **common}
            odd = {"source": "event", "topic": "mails", "offset": 1, "partition": 0, "key": b"\x1b[2J", **common}
            for values in (row, odd):
                await connection.execute(sa.insert(outbox.dead_letters).values(values))
        await engine.dispose()
        yield url


async def test_letters_are_listed_a_line_each_with_nothing_that_a_terminal_obeys(project: Path, url: str) -> None:
    status, output, _ = await letters(project, url, "list")

    assert status == 0
    assert [line.split("\t")[:6] for line in output.splitlines()] == [
        ["1", "outbox", "", "accounts", "k", "row 7"],
        ["2", "event", "", "mails", "\\x1b[2J", "0/1"],
    ]


async def test_letters_are_sought_and_given_to_programs(project: Path, url: str) -> None:
    _, output, _ = await letters(project, url, "list", "--source", "outbox", "--key", "k", "--json")

    assert [json.loads(line)["id"] for line in output.splitlines()] == [1]


async def test_a_letter_is_edited_replayed_and_shown(project: Path, url: str) -> None:
    edited = await letters(project, url, "edit", "1", "--value", "-", typed=b"mended")
    replayed = await letters(project, url, "replay", "1")
    _, shown, _ = await letters(project, url, "show", "1")

    assert (edited, replayed) == ((0, "dead letter 1 edited\n", ""), (0, "dead letter 1 replayed\n", ""))
    assert {"status: replayed", "value: mended", "original value: v"} <= set(shown.splitlines())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("discard", "9"), (1, "outboxed: there is no dead letter 9")),
        (("replay", "2"), (1, "outboxed: dead letter 2 is of source event: to replay it, give the broker")),
        (("edit", "1"), (2, "outboxed: nothing to change: give --key, --value, --header or --remove-header")),
        (("edit", "1", "--header", "a"), (2, "outboxed: --header must be NAME=VALUE, not 'a'")),
        (("edit", "1", "--value", "gone"), (2, "outboxed: can't read gone: No such file or directory")),
    ],
)
async def test_what_cannot_be_done_is_one_line(
    project: Path, url: str, arguments: tuple[str, ...], expected: tuple[int, str]
) -> None:
    status, _, errors = await letters(project, url, *arguments)

    assert (status, len(errors.splitlines())) == (expected[0], 1)
    assert errors.startswith(expected[1])


async def test_a_record_without_a_subscriber_of_the_broker_is_one_line(project: Path, url: str) -> None:
    process = await started(project, *WITH_BROKER, "--database", url, "replay", "2")
    _, errors = await process.communicate()

    assert process.returncode == 1
    assert errors.decode().startswith("outboxed: dead letter 2 can't be handled: no subscriber of this broker reads")


PUBLISHES = """
@broker.subscriber("mails")
@broker.publisher("accounts")
async def answer(mail: dict) -> dict:
    return {"number": 2 * mail["number"]}
"""


async def test_a_record_is_handled_again_by_a_handler_that_publishes(
    project: Path, url: str, own_kafka: MockKafka
) -> None:
    module = project / "shop.py"
    module.write_text(module.read_text().replace("127.0.0.1:1", own_kafka.bootstrap_servers) + PUBLISHES)
    own_kafka.create_topic("accounts", 1)
    topics = Topics(KafkaSettings(parse_bootstrap_servers(own_kafka.bootstrap_servers), fetch_max_wait_ms=20))
    edited = await letters(project, url, "edit", "2", "--value", "-", typed=b'{"number": 21}')

    process = await started(project, *WITH_BROKER, "--database", url, "replay", "2")
    output, errors = await process.communicate()

    assert edited[0] == 0
    assert (process.returncode, errors.decode()) == (0, "")
    assert output.decode().splitlines()[-1] == "dead letter 2 replayed"  # above it are FastStream's own lines
    [answer] = await topics.read("accounts", 1)
    assert json.loads(answer.value) == {"number": 42}


async def test_a_database_that_does_not_answer_is_one_line(project: Path) -> None:
    status, _, errors = await letters(project, "postgresql://shop@127.0.0.1:1/none", "list")

    assert (status, len(errors.splitlines())) == (1, 1)
    assert errors.startswith("outboxed: the database does not answer: ")
