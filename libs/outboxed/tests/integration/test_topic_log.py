"""Topics read whole, and how far a group has come."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError
from backing_services.kafka import KafkaCluster
from backing_services.waiting import eventually
from outboxed.testing.topic_log import lag, read_topics, rewind


async def test_every_record_is_read_in_the_order_of_its_partition(kafka_cluster: KafkaCluster) -> None:
    topics = {f"log-{uuid4().hex}": 2}
    (topic,) = topics
    await kafka_cluster.create_topics(topics)
    async with AIOKafkaProducer(bootstrap_servers=kafka_cluster.bootstrap_servers) as producer:
        for number in range(10):
            await producer.send_and_wait(topic, str(number).encode(), partition=number % 2, headers=[("n", b"\xff")])

    records = await read_topics(kafka_cluster.bootstrap_servers, topics)

    assert [one.value for one in records if one.partition == 0] == [b"0", b"2", b"4", b"6", b"8"]
    assert [one.value for one in records if one.partition == 1] == [b"1", b"3", b"5", b"7", b"9"]
    assert all(one.headers == (("n", b"\xff"),) for one in records)


async def test_an_empty_topic_has_no_records(kafka_cluster: KafkaCluster) -> None:
    topics = {f"log-{uuid4().hex}": 2}
    await kafka_cluster.create_topics(topics)

    assert await read_topics(kafka_cluster.bootstrap_servers, topics) == []


async def test_lag_is_what_a_group_has_not_committed(kafka_cluster: KafkaCluster) -> None:
    topics, group = {f"log-{uuid4().hex}": 1}, uuid4().hex
    (topic,) = topics
    await kafka_cluster.create_topics(topics)
    async with AIOKafkaProducer(bootstrap_servers=kafka_cluster.bootstrap_servers) as producer:
        for number in range(3):
            await producer.send_and_wait(topic, str(number).encode(), partition=0)
    before = await lag(kafka_cluster.bootstrap_servers, group, topics)
    async with AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka_cluster.bootstrap_servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=5,
    ) as consumer:
        await consumer.getone()
        await consumer.commit()

    assert (before, await lag(kafka_cluster.bootstrap_servers, group, topics)) == (3, 2)


async def test_an_offset_of_a_topic_that_was_made_again_hides_no_lag(kafka_cluster: KafkaCluster) -> None:
    topics, group = {f"log-{uuid4().hex}": 2}, uuid4().hex
    (topic,) = topics
    await kafka_cluster.create_topics(topics)
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka_cluster.bootstrap_servers, group_id=group, enable_auto_commit=False
    ) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.commit({TopicPartition(topic, 0): 3})

    lags = [await lag(kafka_cluster.bootstrap_servers, group, topics)]
    async with AIOKafkaProducer(bootstrap_servers=kafka_cluster.bootstrap_servers) as producer:
        for partition in (1, 1, 1, 0):
            await producer.send_and_wait(topic, b"", partition=partition)
            lags.append(await lag(kafka_cluster.bootstrap_servers, group, topics))

    assert lags == [0, 1, 2, 3, 4]


async def test_a_group_that_is_rewound_goes_on_from_the_first_records_since_then(
    real_kafka_cluster: KafkaCluster,
) -> None:
    topics, group = {f"log-{uuid4().hex}": 3}, uuid4().hex
    (topic,) = topics
    await real_kafka_cluster.create_topics(topics)
    begin = datetime.now(UTC) - timedelta(hours=1)  # Kafka deletes what is older than its retention, as any topic has
    async with AIOKafkaProducer(bootstrap_servers=real_kafka_cluster.bootstrap_servers) as producer:
        for number, minutes in ((0, -1), (0, 0), (0, 1), (1, -1)):  # and none in the last partition
            at = int((begin + timedelta(minutes=minutes)).timestamp() * 1000)
            await producer.send_and_wait(topic, b"", partition=number, timestamp_ms=at)

    await rewind(real_kafka_cluster.bootstrap_servers, group, topics, to=begin)

    assert await lag(real_kafka_cluster.bootstrap_servers, group, topics) == 2


async def test_a_group_with_members_is_not_rewound(real_kafka_cluster: KafkaCluster) -> None:
    topics, group = {f"log-{uuid4().hex}": 1}, uuid4().hex
    (topic,) = topics
    await real_kafka_cluster.create_topics(topics)
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=real_kafka_cluster.bootstrap_servers, group_id=group, enable_auto_commit=False
    ) as member:
        await eventually(lambda: bool(member.assignment()))

        with pytest.raises(CommitFailedError):
            await rewind(real_kafka_cluster.bootstrap_servers, group, topics, to=datetime.now(UTC))
