"""The console's settings; its README has the table."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from outboxed.errors import ConfigurationError, message_of
from outboxed.settings import (
    BootstrapServers,
    CaFile,
    Host,
    HttpUrl,
    KafkaSettings,
    Port,
    SaslMechanism,
    SecurityProtocol,
)
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

PREFIX = "CONSOLE_"
ServiceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]


class Settings(BaseSettings):
    """Environment variables with the prefix `CONSOLE_`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    environment: Literal["development", "test", "production"] = "development"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    http_host: Host = "127.0.0.1"
    http_port: Port = 8010
    hosts: tuple[Host, ...] = ("127.0.0.1", "localhost")
    """Names under which browsers may ask; another one is refused, so that no foreign name leads here."""
    services: Annotated[Mapping[ServiceName, HttpUrl], Field(min_length=1)]
    """A JSON object: addresses by name."""
    tokens_from: str = "orders"
    """The service that gives tokens, at /api/v1/tokens."""
    gateway_url: HttpUrl | None = None
    """The sandbox's payment gateway, where there is one."""
    mailbox_url: HttpUrl | None = None
    """The sandbox's mail catcher, or Mailpit, where there is one."""
    breaking_url: HttpUrl | None = None
    """What breaks the system on demand: `make up` has it, production never."""
    breaking_secret: SecretStr = SecretStr("")
    kept_orders: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Orders whose records are held in memory; the oldest give way."""
    kafka_bootstrap_servers: BootstrapServers = ("127.0.0.1:9092",)
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    kafka_sasl_username: str = ""
    kafka_sasl_password: SecretStr = SecretStr("")
    kafka_ssl_ca_file: CaFile | None = None
    kafka_topic_prefix: str = ""

    @model_validator(mode="after")
    def _check_who_gives_tokens(self) -> Self:
        if self.tokens_from not in self.services:
            raise ValueError(f"{PREFIX}TOKENS_FROM: {self.tokens_from} is none of {PREFIX}SERVICES")
        return self

    @model_validator(mode="after")
    def _refuse_to_break_production(self) -> Self:
        if self.environment == "production" and self.breaking_url is not None:
            raise ValueError(f"{PREFIX}BREAKING_URL must not be set in production: it breaks the system on purpose")
        return self

    @property
    def kafka(self) -> KafkaSettings:
        """For the clients."""
        return KafkaSettings(
            bootstrap_servers=self.kafka_bootstrap_servers,
            security_protocol=self.kafka_security_protocol,
            sasl_mechanism=self.kafka_sasl_mechanism,
            sasl_username=self.kafka_sasl_username,
            sasl_password=self.kafka_sasl_password.get_secret_value(),
            ssl_ca_file=self.kafka_ssl_ca_file,
            topic_prefix=self.kafka_topic_prefix,
        )


def load() -> Settings:
    """Read the environment. Raises ConfigurationError, whose message names the variable and never shows its value."""
    try:
        return Settings()
    except ValidationError as error:
        problems = [_problem(problem) for problem in error.errors(include_url=False, include_input=False)]
        raise ConfigurationError("; ".join(problems)) from None
    except SettingsError:
        raise ConfigurationError(f"{PREFIX}SERVICES and {PREFIX}HOSTS: must be JSON") from None


def _problem(problem: object) -> str:
    assert isinstance(problem, dict)  # noqa: S101 - pydantic's own
    message = message_of(problem)
    return f"{PREFIX}{str(problem['loc'][0]).upper()}: {message}" if problem["loc"] else message
