"""Which partition a key belongs to, as Kafka's own clients and aiokafka choose it: by murmur2."""

from collections.abc import Callable
from functools import cache
from struct import Struct
from typing import Any

_SEED, _FACTOR, _MASK = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF
_WORD = 4


def partition_of(key: bytes, partitions: int) -> int:
    """The number of the key's partition among so many."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """The hash of Kafka's `Utils.murmur2`, as an unsigned number; aiokafka's takes twice as long."""
    rest = len(data) % _WORD
    value = _SEED ^ len(data)
    for word in _words(len(data) // _WORD)(data):
        mixed = word * _FACTOR & _MASK
        value = value * _FACTOR & _MASK ^ ((mixed ^ mixed >> 24) * _FACTOR & _MASK)
    if rest:
        value = (value ^ int.from_bytes(data[-rest:], "little")) * _FACTOR & _MASK
    value = (value ^ value >> 13) * _FACTOR & _MASK
    return value ^ value >> 15


@cache
def _words(number: int) -> Callable[[bytes], tuple[Any, ...]]:
    return Struct(f"<{number}I").unpack_from
