"""A Kafka cluster that somebody else runs, named by its address."""

from collections.abc import Mapping

from backing_services.kafka.cluster import create_topics, wait_until_it_answers


class GivenKafka:
    """The cluster behind `bootstrap_servers`."""

    is_real = True

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.name = f"given {bootstrap_servers}"

    def start(self) -> None:
        """Check that it answers. Raises KafkaError."""
        wait_until_it_answers(self.bootstrap_servers, within=10.0)

    async def create_topics(self, partitions: Mapping[str, int]) -> None:
        await create_topics(self.bootstrap_servers, partitions)

    def stop(self) -> None:
        """Leave it running: these tests did not start it."""
