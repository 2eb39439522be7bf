"""librdkafka's mock cluster, by its C interface. Bound: `confluent-kafka<2.17`, whose wheel carries the library.

confluent-kafka offers only `test.mock.num.brokers`: a mock inside one client, whose address is unknown and whose
connections can't be cut. Used:

- `rdkafka_mock.h`, which librdkafka calls experimental and subject to change;
- the library's place in the wheel; its file name contains a hash.
"""

import ctypes
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ALL_BROKERS = -1
PRODUCER = 0
DISCONNECT = -195  # RD_KAFKA_RESP_ERR__TRANSPORT: instead of an answer, the broker cuts the connection
_POINTER, _TEXT, _NUMBER, _SHORT, _SIZE = (
    ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int16, ctypes.c_size_t,
)  # fmt: skip
SIGNATURES: Mapping[str, tuple[Any, list[Any]]] = {
    "rd_kafka_conf_new": (_POINTER, []),
    "rd_kafka_conf_set": (_NUMBER, [_POINTER, _TEXT, _TEXT, _TEXT, _SIZE]),
    "rd_kafka_new": (_POINTER, [_NUMBER, _POINTER, _TEXT, _SIZE]),
    "rd_kafka_destroy": (None, [_POINTER]),
    "rd_kafka_err2str": (_TEXT, [_NUMBER]),
    "rd_kafka_mock_cluster_new": (_POINTER, [_POINTER, _NUMBER]),
    "rd_kafka_mock_cluster_destroy": (None, [_POINTER]),
    "rd_kafka_mock_cluster_bootstraps": (_TEXT, [_POINTER]),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [_POINTER, ctypes.c_int32]),
    "rd_kafka_mock_topic_create": (_NUMBER, [_POINTER, _TEXT, _NUMBER, _NUMBER]),
    "rd_kafka_mock_partition_set_leader": (_NUMBER, [_POINTER, _TEXT, _NUMBER, _NUMBER]),
    "rd_kafka_mock_broker_set_down": (_NUMBER, [_POINTER, ctypes.c_int32]),
    "rd_kafka_mock_broker_set_up": (_NUMBER, [_POINTER, ctypes.c_int32]),
    "rd_kafka_mock_broker_set_rtt": (_NUMBER, [_POINTER, ctypes.c_int32, _NUMBER]),
    "rd_kafka_mock_push_request_errors_array": (None, [_POINTER, _SHORT, _SIZE, ctypes.POINTER(_NUMBER)]),
    "rd_kafka_mock_clear_request_errors": (None, [_POINTER, _SHORT]),
}
"""Results and arguments: by default ctypes takes each as a 32-bit int, which cuts pointers in half."""


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
    for name, (result, arguments) in SIGNATURES.items():
        if (function := getattr(library, name, None)) is not None:
            function.restype, function.argtypes = result, arguments
    return library
