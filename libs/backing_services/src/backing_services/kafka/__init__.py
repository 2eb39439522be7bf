"""Kafka for tests: a mock in this process, Apache Kafka as a process or a container, or given by its address."""

from backing_services.kafka.apache import ApacheKafka
from backing_services.kafka.cluster import KafkaCluster, KafkaError
from backing_services.kafka.container import ContainerKafka
from backing_services.kafka.given import GivenKafka
from backing_services.kafka.mock import DISCONNECT, MockKafka

__all__ = ["DISCONNECT", "ApacheKafka", "ContainerKafka", "GivenKafka", "KafkaCluster", "KafkaError", "MockKafka"]
