"""Apache Kafka as a local Java process: one KRaft node, for what the mock cannot show. Ready in about 3 s."""

import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from backing_services._cache import cache_folder, published
from backing_services.kafka.cluster import KafkaError, Started, create_topics, wait_until_it_answers
from backing_services.processes import free_port, is_free
from backing_services.processes.managed import end
from backing_services.processes.parent_death import bound_to_this_process
from backing_services.processes.temporary import TemporaryFolder

VERSION = "4.3.1"
CLUSTER_ID = "dGVzdGtpdC10ZXN0a2l0"  # any 16 bytes in base64
START_LIMIT = 60.0  # seconds
STOP_LIMIT = 20.0  # seconds
MEMORY = ("-Xms256m", "-Xmx512m")  # 410 MB seen in use
LOGGING = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"

# A topic that appears on use has as many partitions as in the mock. The broker's session is short, because a killed
# broker comes back only after its old session (9 s by default). A group gives a killed member's partitions away only
# after the member's session (6 s by default), which a test may shorten. One node alone needs the rest.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
num.partitions=4
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=1500
"""

PROXIED = """\
listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxied_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxy_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
"""


def jars_folder(version: str = VERSION) -> Path:
    """Where `python -m backing_services.kafka.fetch` puts the jars for ApacheKafka."""
    return cache_folder() / "kafka" / version / "libs"


def why_unavailable() -> str | None:
    """Say in a few words what keeps ApacheKafka from running here, or None."""
    if shutil.which("java") is None:
        return "no java on the PATH"
    if not jars_folder().exists():
        return "no jars of Apache Kafka: run `python -m backing_services.kafka.fetch`"
    return None


class ApacheKafka(Started):
    """A single node on 127.0.0.1, as a context manager or by `start()` and `stop()`. It dies with this process.

    `port` 0 takes a free port. Port and data stay the same over `stop()` or `kill()` and another `start()`.
    `directory` keeps the data between runs; by default the data are temporary. `start()` raises KafkaError.

    `proxy_port` opens a second listener for a proxy: the proxy listens on `proxy_port` and leads to `proxied_port`.
    The node tells clients of that listener to connect through the proxy.
    """

    is_real = True

    def __init__(self, *, port: int = 0, directory: Path | None = None, proxy_port: int = 0) -> None:
        self.port = port or free_port()
        self.proxy_port = proxy_port
        self.proxied_port = free_port() if proxy_port else 0
        self.name = f"process (Apache Kafka {VERSION})"
        self._controller_port = free_port()
        self._directory = directory.absolute() if directory else None
        self._temporary: TemporaryFolder | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def administration(self) -> str:
        """The address at which this object speaks to the node."""
        return self.bootstrap_servers

    @property
    def pid(self) -> int | None:
        """The process id, for signals; None while it's stopped."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the node and block until it answers: `spawn()` and `wait_until_ready()`."""
        self.spawn()
        self.wait_until_ready()

    def spawn(self) -> None:
        """Start the process and return at once. Raises KafkaError if Java or the jars are missing."""
        if reason := why_unavailable():
            raise KafkaError(f"Apache Kafka can't run here: {reason}")
        if self._process is not None:
            raise KafkaError("this Kafka is running already")
        if not is_free(self.port):
            raise KafkaError(f"port {self.port} on 127.0.0.1 is in use; choose another, or 0 for a free one")
        properties = self._prepare_folder()
        command = _java(MEMORY, "kafka.Kafka", str(properties))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                bound_to_this_process(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._folder,
            )

    def wait_until_ready(self) -> None:
        """Block until the node answers a request. For a running event loop: `await asyncio.to_thread(...)`."""
        for _ in range(int(START_LIMIT)):
            if self._process is None or self._process.poll() is not None:
                break
            try:
                wait_until_it_answers(self.administration, within=1.0)
            except KafkaError:
                continue
            return
        self.kill()
        tail = " | ".join(self._log.read_text(errors="replace").splitlines()[-5:])
        raise KafkaError(f"Apache Kafka did not start on port {self.port}: {tail}")

    def stop(self) -> None:
        """Controlled shutdown. The data stay for another `start()`; temporary ones go when this object does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL. The next `start()` recovers from the log."""
        self._end(signal.SIGKILL)

    async def create_topics(self, partitions: Mapping[str, int]) -> None:
        await create_topics(self.administration, partitions)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._temporary:
            self._temporary.remove()

    @property
    def _folder(self) -> Path:
        if self._directory:
            return self._directory
        self._temporary = self._temporary or TemporaryFolder("backing-kafka-", in_memory=False)
        return self._temporary.path

    @property
    def _log(self) -> Path:
        return self._folder / "server.log"

    def _prepare_folder(self) -> Path:
        data = self._folder / "data"
        if not data.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            shutil.copytree(published(jars_folder().parent / "formatted", _format), data)
        properties = self._folder / "server.properties"
        properties.write_text(self._properties(data.resolve()))
        return properties

    def _properties(self, data: Path) -> str:
        properties = PROPERTIES.format(port=self.port, controller_port=self._controller_port, data=data)
        return properties + self._second_way_in() if self.proxy_port else properties

    def _second_way_in(self) -> str:
        return PROXIED.format(
            port=self.port,
            controller_port=self._controller_port,
            proxied_port=self.proxied_port,
            proxy_port=self.proxy_port,
        )

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        end(process, how, within=STOP_LIMIT, otherwise=signal.SIGKILL)


def _format(folder: Path) -> None:
    """Format a data folder, which takes 1.5 s of Java. The result doesn't depend on ports, so once is enough."""
    properties = folder / "format.properties"
    properties.write_text(PROPERTIES.format(port=9092, controller_port=9093, data=folder.resolve()))
    command = _java((), "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties))
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own command
    properties.unlink()
    if done.returncode:
        raise KafkaError(f"formatting Kafka's storage failed: {(done.stderr or done.stdout).strip()[-500:]}")


def _java(options: tuple[str, ...], *arguments: str) -> list[str]:
    return ["java", *options, LOGGING, "-cp", f"{jars_folder()}/*", *arguments]
