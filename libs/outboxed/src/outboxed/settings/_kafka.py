"""How to reach Kafka, as each of its clients takes it."""

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from outboxed._extras import extra

if TYPE_CHECKING:
    from faststream.security import BaseSecurity

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True)
class KafkaSettings:
    """How to reach Kafka; `topic_prefix` keeps tests apart on a shared cluster."""

    bootstrap_servers: tuple[str, ...]
    """Each as `host:port`; `parse_bootstrap_servers` makes them of a text."""
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    ssl_ca_file: str | None = None
    topic_prefix: str = ""
    session_timeout_ms: int = 6000
    """The group waits this long for a killed member. Six seconds are the default minimum of Apache Kafka
    (`group.min.session.timeout.ms`)."""
    fetch_max_wait_ms: int = 500
    """A fetch that finds nothing waits this long. A shorter wait costs idle processor time, here and in Kafka. A longer
    one may delay a record: a broker gets no second fetch before it has answered the first."""

    def topic(self, name: str) -> str:
        """The topic's name on this cluster."""
        return self.topic_prefix + name

    def client_options(self) -> dict[str, Any]:
        """Options that every aiokafka client takes."""
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap_servers),
            "security_protocol": self.security_protocol,
        }
        if "SSL" in self.security_protocol:
            options["ssl_context"] = self._ssl_context()
        if "SASL" in self.security_protocol:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password
        return options

    def faststream_security(self) -> "BaseSecurity | None":
        """The security options for a FastStream broker."""
        with extra("faststream", of="KafkaSettings.faststream_security"):
            from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512  # noqa: PLC0415

        context = self._ssl_context() if "SSL" in self.security_protocol else None
        if "SASL" not in self.security_protocol:
            return BaseSecurity(ssl_context=context, use_ssl=True) if context else None
        classes = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}
        return classes[self.sasl_mechanism](
            username=self.sasl_username,
            password=self.sasl_password,
            ssl_context=context,
            use_ssl=context is not None,
        )

    def _ssl_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ssl_ca_file)
