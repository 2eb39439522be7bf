"""Apache Kafka in a container."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from backing_services.containers import why_no_container
from backing_services.kafka.cluster import KafkaError, Started, create_topics, wait_until_it_answers
from backing_services.processes import free_port

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

IMAGE = "KAFKA_IMAGE"
CONTROLLER_PORT = 9093
START_LIMIT = 60.0  # seconds
# One variable turns off all defaults of the image, so all settings are here.
ENVIRONMENT = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@localhost:{CONTROLLER_PORT}",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "KAFKA_NUM_PARTITIONS": "4",
    "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
}
# Waits until the broker's outside address is known, then runs the image's own command.
WAIT_FOR_ADDRESS = (
    "until [ -s /tmp/advertised ]; do sleep 0.05; done; KAFKA_ADVERTISED_LISTENERS=$(cat /tmp/advertised)"
)
COMMAND = ["bash", "-c", f"{WAIT_FOR_ADDRESS} exec /etc/kafka/docker/run"]


class ContainerKafka(Started):
    """A container of `$KAFKA_IMAGE`, else apache/kafka:4.3.1. `start()` raises what Docker raises, or KafkaError."""

    is_real = True

    def __init__(self) -> None:
        self.image = os.environ.get(IMAGE, "apache/kafka:4.3.1")
        self.name = f"container {self.image}"
        self.bootstrap_servers = ""
        self._container: DockerContainer | None = None

    def why_unavailable(self) -> str | None:
        """Say in one sentence what keeps this container from running here, or None."""
        return why_no_container(self.image, IMAGE)

    def start(self) -> None:
        """Start the container and block until the broker answers."""
        if reason := self.why_unavailable():
            raise KafkaError(reason)
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - 0.3 s for those who need it

        # A broker tells its clients and itself one address, so the port is the same inside and outside. If the tests
        # run in a container too, the host is known only once this container runs.
        port = free_port()
        container = DockerContainer(self.image).with_bind_ports(port, port).with_envs(**ENVIRONMENT)
        container.with_env("KAFKA_LISTENERS", f"PLAINTEXT://:{port},CONTROLLER://:{CONTROLLER_PORT}")
        self._container = container.with_command(COMMAND).start()
        self.bootstrap_servers = f"{container.get_container_host_ip()}:{port}"
        container.exec(["bash", "-c", f"echo PLAINTEXT://{self.bootstrap_servers} > /tmp/advertised"])
        wait_until_it_answers(self.bootstrap_servers, within=START_LIMIT)

    def stop(self) -> None:
        if self._container:
            self._container.stop()
            self._container = None

    async def create_topics(self, partitions: Mapping[str, int]) -> None:
        await create_topics(self.bootstrap_servers, partitions)
