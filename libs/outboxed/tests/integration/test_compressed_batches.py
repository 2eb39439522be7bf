"""A small batch that becomes hundreds of megabytes: what it costs, and that nothing is lost or stuck."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from backing_services.waiting import eventually
from outboxed.messages import NOT_READ
from outboxed.storage import tables
from outboxed.testing.services import running
from outboxed.testing.topics import Topics

from ..batches import ToSend, batch, record
from ..sample import MoneyMoved, accounts, moved
from .conftest import Transactions, count, role_of

MIB = 2**20
MEGABYTES = 32
"""What a process may grow by while it reads one partition; docs/reference/delivery.md says so."""
READER = Path(__file__).parent.parent / "reader.py"


@pytest.fixture
def topics(own_topics: Topics) -> Topics:
    """On the mock, which takes any bytes. Apache Kafka refuses what is broken or too large; others may have it."""
    return own_topics


async def send(topics: Topics, raw: bytes, records: int) -> None:
    async with AIOKafkaProducer(**topics.kafka.client_options(), max_request_size=8 * MIB) as producer:
        sent = await producer.send_batch(ToSend(producer, raw, records).batch, topics.kafka.topic("moves"), partition=0)
        await sent


def event(number: int, size: int) -> bytes:
    """An event whose value is as long as that: JSON may end in blanks."""
    one = moved()
    headers = [(name.encode(), value) for name, value in one.headers]
    return record(number, one.value.ljust(size), one.key, headers)


def read_by_a_process(topics: Topics, records: int) -> tuple[int, ...]:
    """Records, bytes of the largest call, MiB at the peak and afterwards."""
    asked = [topics.kafka.bootstrap_servers[0], topics.kafka.topic("moves"), str(records)]
    done = subprocess.run([sys.executable, READER, *asked], check=True, capture_output=True, text=True, timeout=60)  # noqa: S603
    return tuple(map(int, done.stdout.split()))


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
async def test_a_batch_of_400_megabytes_costs_less_than_32(topics: Topics, codec: str) -> None:
    await send(topics, batch((record(number, b"a" * 1_000_000) for number in range(400)), codec), 400)
    await topics.send(moved())

    read, most, grown, kept = await asyncio.to_thread(read_by_a_process, topics, 401)

    assert read == 401
    assert most <= 2 * MIB
    assert grown < MEGABYTES
    assert kept < MEGABYTES // 2


async def test_a_record_of_nothing_but_headers_costs_no_more(topics: Topics) -> None:
    large = record(0, b"", headers=[(b"a", b"")] * (MIB // 3 - 10))
    await send(topics, batch([large], "zstd"), 1)

    read, _, grown, _ = await asyncio.to_thread(read_by_a_process, topics, 1)

    assert read == 1
    assert grown < MEGABYTES


async def test_its_records_are_handled_and_the_partition_goes_on(transactions: Transactions, topics: Topics) -> None:
    events = [event(number, 900_000) for number in range(20)]
    events[7] = event(7, 3 * MIB)
    await send(topics, batch(events, "gzip"), 20)
    role, _ = role_of(topics, transactions)

    async with running(role.run):
        await eventually(lambda: handled(transactions, 19, letters=1))
        await send(topics, batch([event(0, 100)], "zstd"), 1)
        await eventually(lambda: handled(transactions, 20, letters=1))

    async with transactions.engine.connect() as connection:
        letter = (await connection.execute(tables.dead_letters.select())).one()
    assert (letter.offset, len(letter.value)) == (7, 64 * 1024)
    assert letter.reason.startswith(f"{MoneyMoved.type}: the record has 31")
    assert NOT_READ.encode() in letter.headers


async def test_a_batch_that_nobody_can_read_is_a_dead_letter_and_its_neighbours_are_handled(
    transactions: Transactions, topics: Topics
) -> None:
    before, after = (batch([event(0, 100), event(1, 100)], "gzip") for _ in range(2))
    broken = batch([event(0, 100), b"\x08\0\0\0\x7f"], "gzip")
    for raw in (before, broken, after):
        await send(topics, raw, 2)
    role, _ = role_of(topics, transactions)

    async with running(role.run):
        await eventually(lambda: handled(transactions, 5, letters=1))

    async with transactions.engine.connect() as connection:
        letter = (await connection.execute(tables.dead_letters.select())).one()
    assert letter.value[61:] == broken[61:]  # Kafka writes offsets into the head


async def handled(transactions: Transactions, events: int, *, letters: int) -> bool:
    found = await count(transactions.engine, accounts), await count(transactions.engine, tables.dead_letters)
    return found == (events, letters)
