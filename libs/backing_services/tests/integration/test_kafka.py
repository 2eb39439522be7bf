import asyncio
import shutil
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError as ClientError
from backing_services.kafka import DISCONNECT, ApacheKafka, KafkaCluster, KafkaError, MockKafka, apache
from backing_services.kafka import fetch as fetching
from backing_services.plugin import not_available

from ..is_running import assert_ends_with_its_parent

PRODUCE = 0
KAFKA_OF_A_CHILD = """
import sys
from backing_services.kafka import ApacheKafka
kafka = ApacheKafka()
kafka.spawn()
print(kafka.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def mock() -> Iterator[MockKafka]:
    with MockKafka() as mock:
        yield mock


async def send(cluster: KafkaCluster, topic: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers, acks="all")
    try:
        await producer.start()
        for value in values:
            await producer.send_and_wait(topic, value, key=value)
    finally:  # `async with` would leak a producer that can't start
        await producer.stop()


async def received(cluster: KafkaCluster, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=cluster.bootstrap_servers,
        group_id="g",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=5,
    )
    async with consumer:
        async with asyncio.timeout(20):
            return sorted([(await consumer.getone()).value for _ in range(count)])


async def partitions(cluster: KafkaCluster, topic: str) -> set[int]:
    async with AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        return set(await producer.partitions_for(topic))


async def test_what_is_sent_to_the_mock_is_received_by_a_group(mock: MockKafka) -> None:
    await mock.create_topics({"orders": 3})

    await send(mock, "orders", b"a", b"b", b"c")

    assert await received(mock, "orders", 3) == [b"a", b"b", b"c"]


async def test_the_mock_has_the_partitions_that_were_asked_for(mock: MockKafka) -> None:
    await mock.create_topics({"orders": 7})

    assert await partitions(mock, "orders") == set(range(7))


async def test_creating_a_topic_again_is_fine_unless_the_partitions_differ(mock: MockKafka) -> None:
    await mock.create_topics({"orders": 3})
    await mock.create_topics({"orders": 3})

    with pytest.raises(KafkaError, match="'orders' with 4 partitions"):
        await mock.create_topics({"orders": 4})


async def test_a_mock_that_is_down_refuses_clients_until_it_is_up_again_with_its_records(mock: MockKafka) -> None:
    await mock.create_topics({"orders": 1})
    await send(mock, "orders", b"a")

    mock.set_down()
    with pytest.raises(ClientError):
        await send(mock, "orders", b"b")

    mock.set_up()
    assert await received(mock, "orders", 1) == [b"a"]


async def test_a_pushed_error_is_answered_once(mock: MockKafka) -> None:
    await mock.create_topics({"orders": 1})
    message_too_large = 10
    mock.push_request_errors(PRODUCE, message_too_large)

    with pytest.raises(ClientError):
        await send(mock, "orders", b"a")

    await send(mock, "orders", b"b")


async def test_a_pushed_error_can_be_taken_back(mock: MockKafka) -> None:
    await mock.create_topics({"orders": 1})
    mock.push_request_errors(PRODUCE, DISCONNECT, 10)

    mock.clear_request_errors(PRODUCE)

    await send(mock, "orders", b"a")


async def test_a_slow_mock_delays_every_answer(mock: MockKafka) -> None:
    await mock.create_topics({"orders": 1})
    producer = AIOKafkaProducer(bootstrap_servers=mock.bootstrap_servers)
    async with producer:
        await producer.send_and_wait("orders", b"a")
        mock.set_rtt(200)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await producer.send_and_wait("orders", b"b")

        mock.set_rtt(0)


def test_a_mock_that_was_not_started_says_so_instead_of_crashing_the_process() -> None:
    with pytest.raises(KafkaError, match=r"call start\(\) first"):
        MockKafka().set_down()


@pytest.mark.parametrize(
    "end",
    [
        lambda process: process.stdin.close(),
        lambda process: process.terminate(),
        lambda process: process.send_signal(signal.SIGINT),
    ],
    ids=["end of input", "SIGTERM", "SIGINT"],
)
async def test_the_mock_as_a_process_prints_its_address_and_ends_when_asked(
    end: Callable[[asyncio.subprocess.Process], None],
) -> None:
    command = [sys.executable, "-m", "backing_services.kafka", "--topic", "orders=3"]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    mock = MockKafka()
    mock.bootstrap_servers = (await process.stdout.readline()).decode().strip()

    assert await partitions(mock, "orders") == {0, 1, 2}

    end(process)
    assert await process.wait() == 0


async def test_apache_kafka_does_what_the_mock_does(real_kafka_cluster: KafkaCluster) -> None:
    await real_kafka_cluster.create_topics({"orders": 3})
    await real_kafka_cluster.create_topics({"orders": 3})

    await send(real_kafka_cluster, "orders", b"a", b"b", b"c")

    assert real_kafka_cluster.is_real
    assert await partitions(real_kafka_cluster, "orders") == {0, 1, 2}
    assert await received(real_kafka_cluster, "orders", 3) == [b"a", b"b", b"c"]


@pytest.fixture
def needs_java() -> None:
    if reason := apache.why_unavailable():
        not_available("kafka", reason)


@pytest.mark.usefixtures("needs_java")
@pytest.mark.real_kafka
async def test_apache_kafka_keeps_its_port_and_its_records_over_a_kill() -> None:
    with ApacheKafka() as kafka:
        address = kafka.bootstrap_servers
        await kafka.create_topics({"orders": 1})
        await send(kafka, "orders", b"a")

        kafka.kill()
        kafka.start()

        assert kafka.bootstrap_servers == address
        assert await received(kafka, "orders", 1) == [b"a"]
        with pytest.raises(KafkaError, match=f"port {kafka.port} on 127.0.0.1 is in use"):
            ApacheKafka(port=kafka.port).spawn()


@pytest.mark.usefixtures("needs_java")
@pytest.mark.real_kafka
async def test_apache_kafka_does_not_outlive_the_process_that_started_it() -> None:
    await assert_ends_with_its_parent(KAFKA_OF_A_CHILD)


@pytest.mark.usefixtures("needs_java")
@pytest.mark.real_kafka
def test_apache_kafka_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    kafka = ApacheKafka(directory=tmp_path)
    (tmp_path / "data").mkdir()

    with pytest.raises(KafkaError, match="did not start on port"):
        kafka.start()


@pytest.mark.usefixtures("needs_java")
@pytest.mark.real_kafka
async def test_what_apache_kafka_has_in_a_directory_is_there_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ApacheKafka(directory=Path("kept")) as kafka:
        await kafka.create_topics({"orders": 3})

    with ApacheKafka(directory=tmp_path / "kept") as again:
        async with AIOKafkaConsumer(bootstrap_servers=again.bootstrap_servers) as consumer:
            assert await consumer.topics() == {"orders"}


def test_missing_jars_are_told_in_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/java")

    with pytest.raises(KafkaError, match=r"run `python -m backing_services\.kafka\.fetch`"):
        ApacheKafka().spawn()

    assert not cache.exists()


@pytest.mark.parametrize("tool", ["java", "mvn"])
def test_fetching_without_a_tool_says_which_one_is_missing(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == tool else f"/usr/bin/{name}")

    with pytest.raises(KafkaError, match=f"no {tool} on the PATH: install "):
        fetching.fetch()


def test_what_maven_says_is_told_when_it_fails(cache: Path, first_on_path: Callable[[str, str], Path]) -> None:
    first_on_path("java", "#!/bin/sh\n")
    first_on_path("mvn", "#!/bin/sh\necho '[ERROR] no network'; exit 1\n")

    with pytest.raises(KafkaError, match=r"^Maven failed: \[ERROR\] no network$"):
        fetching.fetch()

    assert not list(cache.rglob("*.jar"))


HALF_OF_IT = """#!/bin/sh
for each in "$@"; do
    case "$each" in -DoutputDirectory=*) mkdir -p "${each#*=}" && echo > "${each#*=}/first.jar";; esac
done
"""


def test_a_fetch_that_breaks_off_leaves_no_folder_that_looks_complete(
    cache: Path, first_on_path: Callable[[str, str], Path]
) -> None:
    first_on_path("java", "#!/bin/sh\n")
    first_on_path("mvn", f"{HALF_OF_IT}exit 1\n")

    with pytest.raises(KafkaError, match=r"^Maven failed"):
        fetching.fetch()
    left = [*cache.rglob("*.jar")]
    first_on_path("mvn", HALF_OF_IT)

    assert left == []
    assert [jar.name for jar in fetching.fetch().iterdir()] == ["first.jar"]


async def test_a_topic_that_several_create_at_once_is_there_for_each(real_kafka_cluster: KafkaCluster) -> None:
    topic = f"at-once-{uuid4()}"

    await asyncio.gather(*(real_kafka_cluster.create_topics({topic: 2}) for _ in range(8)))

    await real_kafka_cluster.create_topics({topic: 2})
