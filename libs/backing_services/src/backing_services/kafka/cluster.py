"""What every Kafka offers to tests, wherever it comes from."""

import asyncio
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

REQUEST_LIMIT = 10.0  # seconds


class KafkaError(RuntimeError):
    """A Kafka cluster for tests could not be had, or refused a request; the message says what to do."""


class KafkaCluster(Protocol):
    """A running cluster. `is_real` tells Apache Kafka from the mock; `name` is for the report."""

    @property
    def bootstrap_servers(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def is_real(self) -> bool: ...

    def start(self) -> None:
        """Start it and block until it answers. Raises KafkaError."""

    async def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create the topics with so many partitions each and wait until they can be used. Raises KafkaError."""

    def stop(self) -> None:
        """Stop a cluster that was started here; a cluster that was given by its address is left alone."""


class Started:
    """A cluster as a context manager: started at the begin of the block, stopped at its end."""

    def start(self) -> None:
        """See KafkaCluster."""
        raise NotImplementedError

    def stop(self) -> None:
        """See KafkaCluster."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def administration_client(bootstrap_servers: str) -> Any:
    """A client that reconnects at once when a cluster comes up, and logs nothing while the cluster is away."""
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415 - 0.1 s for those who need it

    return AdminClient(
        {
            "bootstrap.servers": bootstrap_servers,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 50,
            "log_level": 0,
        }
    )


def wait_until_it_answers(bootstrap_servers: str, *, within: float) -> None:
    """Block until the cluster answers a metadata request. Raises KafkaError after `within` seconds."""
    from confluent_kafka import KafkaException  # noqa: PLC0415 - 0.1 s for those who need it

    try:
        administration_client(bootstrap_servers).list_topics(timeout=within)
    except KafkaException as error:
        raise KafkaError(f"no answer from Kafka at {bootstrap_servers} within {within:g} s: {error}") from error


async def create_topics(bootstrap_servers: str, partitions: Mapping[str, int]) -> None:
    """Create topics on a real cluster; one that exists with as many partitions is fine. Raises KafkaError."""
    await asyncio.to_thread(_create_topics, bootstrap_servers, partitions)


def _create_topics(bootstrap_servers: str, partitions: Mapping[str, int]) -> None:
    from confluent_kafka import KafkaError as Code  # noqa: PLC0415 - 0.1 s for those who need it
    from confluent_kafka import KafkaException  # noqa: PLC0415 - as above
    from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # noqa: PLC0415 - 0.1 s for those who need it; not declared

    client = administration_client(bootstrap_servers)
    existing = client.list_topics(timeout=REQUEST_LIMIT).topics
    new = [NewTopic(topic, count, 1) for topic, count in partitions.items() if topic not in existing]
    for created in client.create_topics(new, request_timeout=REQUEST_LIMIT).values() if new else ():
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].code() != Code.TOPIC_ALREADY_EXISTS:  # a topic that was just created is not yet listed
                raise KafkaError(f"could not create topics at {bootstrap_servers}: {error}") from error
    _wait_for_leaders(client, partitions)


def _wait_for_leaders(client: Any, partitions: Mapping[str, int]) -> None:
    """A topic is created some milliseconds before its partitions have leaders that take records."""
    deadline = time.monotonic() + REQUEST_LIMIT
    while True:
        topics = client.list_topics(timeout=REQUEST_LIMIT).topics
        seen = {topic: _led(topics[topic]) for topic in partitions if topic in topics}
        if seen == dict(partitions):
            return
        if time.monotonic() > deadline:
            raise KafkaError(f"topics should have {dict(partitions)} partitions with a leader, but have {seen}")
        time.sleep(0.01)


def _led(topic: Any) -> int:
    return sum(partition.leader >= 0 for partition in topic.partitions.values())
