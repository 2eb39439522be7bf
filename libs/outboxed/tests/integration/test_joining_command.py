"""The relay of a project as a process of its own."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from backing_services.kafka import MockKafka
from backing_services.postgres import DatabaseIsolation
from outboxed import Outbox
from outboxed.settings import KafkaSettings, parse_bootstrap_servers
from outboxed.testing.topics import Topics
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

MODULE = 'from outboxed import Outbox\n\noutbox = Outbox(topic="accounts")\nnothing = 1\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(MODULE)
    return tmp_path


async def run(project: Path, *arguments: str) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "outboxed", "relay", *arguments]
    given = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return await asyncio.create_subprocess_exec(*command, cwd=project, env=given, stderr=asyncio.subprocess.PIPE)


async def test_a_process_sends_what_others_commit_and_ends_at_sigterm(
    project: Path, isolation: DatabaseIsolation, own_kafka: MockKafka
) -> None:
    topics = Topics(KafkaSettings(parse_bootstrap_servers(own_kafka.bootstrap_servers), fetch_max_wait_ms=20))
    own_kafka.create_topic("accounts", 1)
    outbox = Outbox(topic="accounts")
    async with isolation.private() as url:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(outbox.metadata.create_all)
        process = await run(project, "shop:outbox", "--database", url, "--kafka", own_kafka.bootstrap_servers)
        async with AsyncSession(engine) as session, session.begin():
            await outbox.publish(session, {"a": 1})
        await topics.read("accounts", 1)
        await engine.dispose()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("shop:outbox",), "outboxed: give --database, or set DATABASE_URL"),
        (("shop:outbox", "--database", "postgresql://h/d"), "outboxed: give --kafka, or set KAFKA_BOOTSTRAP_SERVERS"),
        (("shop:nothing", "--database", "x", "--kafka", "y"), "outboxed: shop:nothing: there is no Outbox"),
        (("shops:outbox", "--database", "x", "--kafka", "y"), "outboxed: shops:outbox: No module named 'shops'"),
        (("shop:outbox", "--database", "x", "--kafka", "y"), "outboxed: "),
    ],
)
async def test_a_wrong_argument_is_one_line(project: Path, arguments: tuple[str, ...], line: str) -> None:
    process = await run(project, *arguments)
    _, errors = await process.communicate()

    assert process.returncode == 2
    assert errors.decode().splitlines()[0].startswith(line)
    assert len(errors.decode().splitlines()) == 1
