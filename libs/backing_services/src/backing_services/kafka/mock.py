"""librdkafka's mock cluster, in this process: a broker on a loopback port, there at once, without Java or Docker.

The C interface is `rdkafka_mock.h`, which librdkafka calls experimental. What the mock cannot show is in the README.
"""

import ctypes
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from backing_services.kafka.cluster import KafkaError, Started

ALL_BROKERS = -1
PRODUCER = 0
LOG_EMERGENCIES = b"0"
DISCONNECT = -195  # RD_KAFKA_RESP_ERR__TRANSPORT: instead of an answer, the broker cuts the connection


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
        library = _librdkafka()
        self._client = _new_client(library)
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            raise KafkaError("librdkafka could not start its mock cluster")
        # Else the first member of a group waits 3 s for others to join.
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.bootstrap_servers = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def stop(self) -> None:
        library = _librdkafka()
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
        """Create one topic, without an event loop. The mock knows no CreateTopics request: this is the only way."""
        if self._topics.get(topic) == partitions:
            return
        code = _librdkafka().rd_kafka_mock_topic_create(self._running, topic.encode(), partitions, 1)
        if code:
            raise KafkaError(f"the mock refused topic {topic!r} with {partitions} partitions: {_meaning(code)}")
        self._topics[topic] = partitions

    def set_down(self) -> None:
        """Cut all connections and refuse new ones, until `set_up()`. Records and offsets stay."""
        _check(_librdkafka().rd_kafka_mock_broker_set_down(self._running, ALL_BROKERS))

    def set_up(self) -> None:
        """Accept connections again."""
        _check(_librdkafka().rd_kafka_mock_broker_set_up(self._running, ALL_BROKERS))

    def set_rtt(self, milliseconds: int) -> None:
        """Delay every answer by so many milliseconds; 0 ends it."""
        _check(_librdkafka().rd_kafka_mock_broker_set_rtt(self._running, ALL_BROKERS, milliseconds))

    def push_request_errors(self, api_key: int, *errors: int) -> None:
        """Answer the next requests of this kind (0 Produce, 1 Fetch, 8 OffsetCommit, ...) with these error codes.

        A code is Kafka's own (7 request timed out, 27 rebalance in progress, ...), or DISCONNECT.
        """
        array = (ctypes.c_int * len(errors))(*errors)
        _librdkafka().rd_kafka_mock_push_request_errors_array(self._running, api_key, len(errors), array)

    def clear_request_errors(self, api_key: int) -> None:
        """Forget the errors that were pushed for this kind of request and not given out yet."""
        _librdkafka().rd_kafka_mock_clear_request_errors(self._running, api_key)

    @property
    def _running(self) -> int:
        if not self._cluster:  # the C code would crash the process
            raise KafkaError("this mock Kafka is not running: call start() first")
        return self._cluster


def _new_client(library: ctypes.CDLL) -> int:
    """The client instance that a mock cluster lives in; it speaks to nobody itself."""
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
    text: bytes = _librdkafka().rd_kafka_err2str(code)
    return text.decode()


@cache
def _librdkafka() -> ctypes.CDLL:
    """Load the library that the confluent_kafka wheel carries; its file name contains a hash."""
    spec = find_spec("confluent_kafka")
    if spec is None or not spec.submodule_search_locations:
        raise KafkaError("no embedded Kafka: install confluent-kafka, or set BACKING_KAFKA=process or container")
    package = Path(spec.submodule_search_locations[0])
    folders = (package.parent / "confluent_kafka.libs", package / ".dylibs")
    found = [path for folder in folders for path in folder.glob("librdkafka*") if "++" not in path.name]
    if not found:
        raise KafkaError(f"{package} carries no librdkafka: install confluent-kafka from its wheel")
    return _with_signatures(ctypes.CDLL(str(found[0])))


def _with_signatures(library: ctypes.CDLL) -> ctypes.CDLL:
    """Declare what ctypes would otherwise take for a 32-bit int, and so cut pointers in half."""
    pointer, text, number, short, size = (
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int16, ctypes.c_size_t,
    )  # fmt: skip
    signatures = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (number, [pointer, text, text, text, size]),
        "rd_kafka_new": (pointer, [number, pointer, text, size]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_err2str": (text, [number]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_broker_set_down": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_up": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_rtt": (number, [pointer, ctypes.c_int32, number]),
        "rd_kafka_mock_push_request_errors_array": (None, [pointer, short, size, ctypes.POINTER(number)]),
        "rd_kafka_mock_clear_request_errors": (None, [pointer, short]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
