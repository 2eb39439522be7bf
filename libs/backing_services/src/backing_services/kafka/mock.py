"""librdkafka's mock cluster, in this process: a broker on a loopback port, there at once, without Java or Docker.

What the mock cannot show is in the README.
"""

import ctypes
from collections.abc import Mapping

from backing_services._compat.librdkafka import ALL_BROKERS, DISCONNECT, PRODUCER, librdkafka
from backing_services.kafka.cluster import KafkaError, Started

__all__ = ["DISCONNECT", "MockKafka"]

LOG_EMERGENCIES = b"0"
NO_BROKER = -1
ONLY_BROKER = 1


class MockKafka(Started):
    """A mock cluster of one broker. Topics that nobody created appear on use, with 4 partitions.

    Several clients and processes may use it at the same time. `start()` raises KafkaError where the confluent_kafka
    wheel is missing.
    """

    name = "embedded (librdkafka mock)"
    is_real = False

    def __init__(self) -> None:
        self.bootstrap_servers = ""
        self._topics: dict[str, int] = {}
        self._client: int | None = None
        self._cluster: int | None = None

    def start(self) -> None:
        try:
            library = librdkafka()
        except LookupError as error:
            raise KafkaError(str(error)) from None
        self._client = _new_client(library)
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            raise KafkaError("librdkafka could not start its mock cluster")
        # By default the first member of a group waits 3 s for others to join.
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.bootstrap_servers = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def stop(self) -> None:
        library = librdkafka()
        if self._cluster:
            library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._cluster = None
        if self._client:
            library.rd_kafka_destroy(self._client)
            self._client = None

    async def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create the topics; one that exists with as many partitions is fine. Raises KafkaError."""
        for topic, count in partitions.items():
            self.create_topic(topic, count)

    def create_topic(self, topic: str, partitions: int) -> None:
        """Create one topic, without an event loop. The mock has no CreateTopics request, so this is the only way."""
        if self._topics.get(topic) == partitions:
            return
        code = librdkafka().rd_kafka_mock_topic_create(self._running, topic.encode(), partitions, 1)
        if code:
            raise KafkaError(f"the mock refused topic {topic!r} with {partitions} partitions: {_meaning(code)}")
        self._topics[topic] = partitions

    def set_down(self) -> None:
        """Cut all connections and refuse new ones, until `set_up()`. Records and offsets stay."""
        _check(librdkafka().rd_kafka_mock_broker_set_down(self._running, ALL_BROKERS))

    def set_up(self) -> None:
        """Accept connections again."""
        _check(librdkafka().rd_kafka_mock_broker_set_up(self._running, ALL_BROKERS))

    def take_leader(self, topic: str, partition: int) -> None:
        """Leave a partition without a leader, until `give_leader()`."""
        self._set_leader(topic, partition, NO_BROKER)

    def give_leader(self, topic: str, partition: int) -> None:
        """Let a partition have its leader again."""
        self._set_leader(topic, partition, ONLY_BROKER)

    def set_rtt(self, milliseconds: int) -> None:
        """Delay every answer by so many milliseconds; 0 ends it."""
        _check(librdkafka().rd_kafka_mock_broker_set_rtt(self._running, ALL_BROKERS, milliseconds))

    def push_request_errors(self, api_key: int, *errors: int) -> None:
        """Answer the next requests of this kind (0 Produce, 1 Fetch, 8 OffsetCommit, ...) with these error codes.

        A code is Kafka's own (7 request timed out, 27 rebalance in progress, ...), or DISCONNECT.
        """
        array = (ctypes.c_int * len(errors))(*errors)
        librdkafka().rd_kafka_mock_push_request_errors_array(self._running, api_key, len(errors), array)

    def clear_request_errors(self, api_key: int) -> None:
        """Forget the pushed errors of this kind of request that were not used yet."""
        librdkafka().rd_kafka_mock_clear_request_errors(self._running, api_key)

    def _set_leader(self, topic: str, partition: int, broker: int) -> None:
        _check(librdkafka().rd_kafka_mock_partition_set_leader(self._running, topic.encode(), partition, broker))

    @property
    def _running(self) -> int:
        if not self._cluster:  # else the C code would crash the process
            raise KafkaError("this mock Kafka is not running: call start() first")
        return self._cluster


def _new_client(library: ctypes.CDLL) -> int:
    """The client instance that holds a mock cluster; the client itself connects to nobody."""
    message = ctypes.create_string_buffer(512)
    configuration = library.rd_kafka_conf_new()
    if library.rd_kafka_conf_set(configuration, b"log_level", LOG_EMERGENCIES, message, len(message)):
        raise KafkaError(f"librdkafka: {message.value.decode()}")
    client: int | None = library.rd_kafka_new(PRODUCER, configuration, message, len(message))
    if not client:
        raise KafkaError(f"librdkafka: {message.value.decode()}")
    return client


def _check(code: int) -> None:
    if code:
        raise KafkaError(f"the mock Kafka refused: {_meaning(code)}")


def _meaning(code: int) -> str:
    text: bytes = librdkafka().rd_kafka_err2str(code)
    return text.decode()
