"""librdkafka's mock cluster, by its C interface. Bound: ``confluent-kafka<2.17``, whose wheel carries the library.

confluent-kafka offers ``test.mock.num.brokers`` only: a mock inside one client, which tells its address to nobody and
can't be cut off. Used:

- ``rdkafka_mock.h``, which librdkafka calls experimental and subject to change;
- where the wheel keeps the library, whose file name contains a hash.
"""

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ALL_BROKERS = -1
PRODUCER = 0
DISCONNECT = -195  # RD_KAFKA_RESP_ERR__TRANSPORT: instead of an answer, the broker cuts the connection


@cache
def librdkafka() -> ctypes.CDLL:
    """Load the library that the wheel carries. Raises LookupError, with what to do."""
    spec = find_spec("confluent_kafka")
    if spec is None or not spec.submodule_search_locations:
        raise LookupError("no embedded Kafka: install confluent-kafka, or set BACKING_KAFKA=process or container")
    package = Path(spec.submodule_search_locations[0])
    folders = (package.parent / "confluent_kafka.libs", package / ".dylibs")
    found = [path for folder in folders for path in folder.glob("librdkafka*") if "++" not in path.name]
    if not found:
        raise LookupError(f"{package} carries no librdkafka: install confluent-kafka from its wheel")
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
        if (function := getattr(library, name, None)) is not None:
            function.restype, function.argtypes = result, arguments
    return library
