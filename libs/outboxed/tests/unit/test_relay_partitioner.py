"""A key's partition is the one that every other client of Kafka chooses."""

from aiokafka import partitioner
from hypothesis import given
from hypothesis import strategies as st
from outboxed.relay._partitioner import murmur2, partition_of


@given(st.binary(max_size=300))
def test_the_hash_is_that_of_aiokafka(data: bytes) -> None:
    assert murmur2(data) == partitioner.murmur2(data)


@given(st.binary(max_size=50), st.integers(1, 100))
def test_a_key_belongs_to_the_partition_that_aiokafka_chooses(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == partitioner.DefaultPartitioner()(key, range(partitions), [])
