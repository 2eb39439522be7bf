"""What a person does with topics on the day after: repairs a row that Kafka refused, and makes a topic again."""

import asyncio
import json
import time
from collections.abc import Sequence

import asyncpg
from aiokafka import AIOKafkaProducer
from backing_services.kafka.cluster import administration_client
from backing_services.postgres import connected
from backing_services.waiting import StillWaitingError, eventually
from outboxed.testing.topic_log import Position, lag, read_topics
from shop_harness.evidence import Letter
from shop_harness.services import TOPICS
from shop_harness.system import run_command

from tools.faults.customers import Customers
from tools.faults.system import ProxiedSystem

AGAIN = "payments"
UNHEARD_OF = "order.dreamt-of.v1"
"""A type that nobody reads."""
HARMLESS = (("ce_type", UNHEARD_OF.encode()), ("ce_id", b"again"))
ARRIVES_WITHIN = 30.0
KAFKA_SECONDS = 30.0
SOON = 0.1
PUT_ROW = "insert into outbox (topic, key, value, headers) values ($1, $2, $3, $4)"
ROW_LETTER = "select id from dead_letters where source = 'outbox' and status = 'open' and key = $1"
LETTERS_AT = 'select count(*) from dead_letters where topic = $1 and partition = $2 and "offset" = $3'


async def put_row(database: asyncpg.Connection, topic: str, key: str, value: bytes) -> None:
    """Put a row into the outbox of a service, of a type that nobody reads."""
    await database.execute(PUT_ROW, topic, key, value, json.dumps({"ce_type": UNHEARD_OF}))


async def send_repaired_row(system: ProxiedSystem, letter: Letter) -> Sequence[str]:
    """Repair and replay a refused row; returns what is wrong, if a later event of its key isn't sent after it."""
    service, key = letter.service, str(letter.of)
    environment, repaired = system.environment(service), system.folder / "repaired-row"
    repaired.write_bytes(b"1")
    async with connected(system.database_url(service)) as database:
        await put_row(database, service, key, b"2")

        async def is_held() -> bool:
            return bool(await database.fetchval("select retry_at is not null from outbox where key = $1", key))

        try:
            await eventually(is_held, within=ARRIVES_WITHIN, every=0.1)
        except StillWaitingError:
            return [f"a later event of {key} isn't held, though the earlier one was refused"]
        letter_id = str(await database.fetchval(ROW_LETTER, key.encode()))
    await run_command(service, "dead-letters", "edit", letter_id, "--value", str(repaired), environment=environment)
    await run_command(service, "dead-letters", "replay", letter_id, environment=environment)

    async def sent() -> list[bytes | None]:
        records = await read_topics(system.kafka.bootstrap_servers, TOPICS)
        return list(dict.fromkeys(record.value for record in records if record.key == key.encode()))

    async def both() -> bool:
        return set(await sent()) >= {b"1", b"2"}

    try:
        await eventually(both, within=ARRIVES_WITHIN, every=0.5)
    except StillWaitingError:
        return [f"of the two events of {key}, {await sent()} were sent"]
    seen = await sent()
    return [] if seen == [b"1", b"2"] else [f"the repaired event of {key} should come first: {seen}"]


async def make_again(system: ProxiedSystem, customers: Customers, letters: Sequence[Letter]) -> Sequence[str]:
    """Delete a topic and make it again. The shop goes on, and other poison at a letter's position is another letter.

    It is the last such position, which is behind all that the shop sends in between.
    """
    position = max((one.of for one in letters if isinstance(one.of, Position)), key=lambda at: at.offset)
    service = next(one.service for one in letters if one.of == position)
    await asyncio.to_thread(_make_again, system)
    try:
        await customers.probe()
    except StillWaitingError:
        return [f"after {AGAIN} was made again, no order is confirmed"]
    if (end := await _fill(system, service, position)) != position.offset:
        return [f"the new topic's poison should be at {position}, and is at {end}"]

    async def letters_there() -> int:
        async with connected(system.database_url(service)) as database:
            return int(await database.fetchval(LETTERS_AT, position.topic, position.partition, position.offset))

    async def two() -> bool:
        return await letters_there() == 2

    try:
        await eventually(two, within=ARRIVES_WITHIN, every=0.5)
    except StillWaitingError:
        return [f"{service} has {await letters_there()} dead letters of the two records that were at {position}"]
    return []


def _make_again(system: ProxiedSystem) -> None:
    """Delete and create, until it was us who created: a client that asks for the topic in between has it made, too."""
    from confluent_kafka import KafkaException  # noqa: PLC0415 - 0.1 s for those who need it
    from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # noqa: PLC0415 - 0.1 s; not declared

    client, deadline = administration_client(system.kafka.bootstrap_servers), time.monotonic() + KAFKA_SECONDS
    while True:
        try:
            for deleted in client.delete_topics([AGAIN], operation_timeout=KAFKA_SECONDS).values():
                deleted.result()
            for created in client.create_topics([NewTopic(AGAIN, TOPICS[AGAIN], 1)]).values():
                created.result()
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(SOON)
        else:
            return


async def _fill(system: ProxiedSystem, service: str, until: Position) -> int:
    """Fill a partition with what nobody reads, and put poison at this offset; returns the offset that it has.

    The first record is sent alone: a member that still waits at an offset of the old topic must see that this one ends
    before it. Kafka's clients know no topic by its id.
    """
    async with AIOKafkaProducer(bootstrap_servers=system.kafka.bootstrap_servers) as producer:

        async def send(*values: bytes, headers: Sequence[tuple[str, bytes]] = HARMLESS) -> int:
            """The last one's offset."""
            to = {"topic": until.topic, "partition": until.partition, "key": b"again", "headers": list(headers)}
            sent = await asyncio.gather(*[await producer.send(value=value, **to) for value in values])
            return int(sent[-1].offset)

        first = await send(b"{}")

        async def caught_up() -> bool:
            return await lag(system.kafka.bootstrap_servers, service, {AGAIN: TOPICS[AGAIN]}) == 0

        await eventually(caught_up, within=ARRIVES_WITHIN, every=0.2)
        if (missing := until.offset - 1 - first) > 0:
            await send(*[b"{}"] * missing)
        return await send(b"poison of the topic that was made again", headers=())
