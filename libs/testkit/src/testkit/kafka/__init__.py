"""Kafka for tests: a mock in this process, Apache Kafka as a process or a container, or given by its address."""

from testkit.kafka.apache import ApacheKafka
from testkit.kafka.cluster import KafkaCluster, KafkaError
from testkit.kafka.container import ContainerKafka
from testkit.kafka.given import GivenKafka
from testkit.kafka.mock import DISCONNECT, MockKafka

__all__ = ["DISCONNECT", "ApacheKafka", "ContainerKafka", "GivenKafka", "KafkaCluster", "KafkaError", "MockKafka"]
