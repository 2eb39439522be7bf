"""Apache Kafka as a local process that accepts clients by SASL_SSL only, with its own certificate authority."""

from pathlib import Path
from typing import Literal

from backing_services._extras import extra
from backing_services.kafka.apache import ApacheKafka
from backing_services.kafka.cluster import KafkaError, administration_client
from backing_services.processes import free_port

with extra("tls", of="backing_services.kafka.secured"):
    import trustme
    from cryptography.hazmat.primitives import serialization

USERNAME = "test"
PASSWORD = "a test's password"  # noqa: S105 - lives as long as the test
ITERATIONS = 4096  # the fewest that Kafka takes
REQUEST_LIMIT = 10.0  # seconds

PROPERTIES = """\
listeners=SASL_SSL://127.0.0.1:{port},PLAINTEXT://127.0.0.1:{inside},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=SASL_SSL://127.0.0.1:{port},PLAINTEXT://127.0.0.1:{inside}
sasl.enabled.mechanisms={mechanism}
listener.name.sasl_ssl.{lower_mechanism}.sasl.jaas.config=\\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
"""


class SecuredKafka(ApacheKafka):
    """The same node, but its clients need TLS, the user `username` and its `password` (SCRAM-SHA-512).

    `ca_file` is the certificate authority to trust, in PEM; the file exists after the first start. The node and this
    object speak over another listener, on a port that no client is told.
    """

    mechanism: Literal["SCRAM-SHA-512"] = "SCRAM-SHA-512"

    def __init__(self) -> None:
        super().__init__()
        self.name = f"{self.name} with SASL_SSL"
        self.username, self.password = USERNAME, PASSWORD
        self._inside = free_port()

    @property
    def administration(self) -> str:
        return f"127.0.0.1:{self._inside}"

    @property
    def ca_file(self) -> Path:
        return self._folder / "ca.pem"

    def wait_until_ready(self) -> None:
        super().wait_until_ready()
        self._create_user()

    def _create_user(self) -> None:
        from confluent_kafka import KafkaException  # noqa: PLC0415 - 0.1 s for those who need it
        from confluent_kafka.admin import (  # type: ignore[attr-defined]  # noqa: PLC0415 - 0.1 s for those who need it; not declared
            ScramCredentialInfo,
            ScramMechanism,
            UserScramCredentialUpsertion,
        )

        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
        user = UserScramCredentialUpsertion(self.username, scram, self.password.encode())
        client = administration_client(self.administration)
        try:
            for altered in client.alter_user_scram_credentials([user], request_timeout=REQUEST_LIMIT).values():
                altered.result()
        except KafkaException as error:
            raise KafkaError(f"could not create the user {self.username}: {error}") from error

    def _properties(self, data: Path) -> str:
        secured = PROPERTIES.format(
            port=self.port,
            inside=self._inside,
            controller_port=self._controller_port,
            mechanism=self.mechanism,
            lower_mechanism=self.mechanism.lower(),
            keystore=self._keystore(),
        )
        return super()._properties(data) + secured

    def _keystore(self) -> Path:
        """The node's key and certificate; Kafka reads keys in PKCS #8 only."""
        path = self._folder / "node.pem"
        if not path.exists():
            authority = trustme.CA()
            authority.cert_pem.write_to_path(str(self.ca_file))
            issued = authority.issue_cert("127.0.0.1")
            key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), password=None)
            pkcs8 = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            path.write_bytes(pkcs8 + b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return path
