"""The settings that every process here has, and how settings are read."""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from outboxed.errors import ConfigurationError, message_of
from outboxed.settings._addresses import Host, Port
from outboxed.settings._files import CaFile, check_system_authorities
from outboxed.settings._kafka import KafkaSettings, SaslMechanism, SecurityProtocol
from outboxed.settings._variables import BootstrapServers

TopicPrefix = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")]
"""Kafka's own limits of a topic's name, with room for the name."""


class _NotJSONError(ValueError):
    """A value isn't JSON; the message is the field's name, which pydantic-settings has only inside a sentence."""


class _Environment(EnvSettingsSource):
    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            raise _NotJSONError(field_name) from None


class ProcessSettings(BaseSettings):
    """Where a process listens, how it reaches Kafka, how much it logs; its own class adds its prefix and the rest."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    environment: Literal["development", "test", "production"] = "development"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    http_host: Host = "127.0.0.1"
    http_port: Port
    kafka_bootstrap_servers: BootstrapServers = ("127.0.0.1:9092",)
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    kafka_sasl_username: str = ""
    kafka_sasl_password: SecretStr = SecretStr("")
    kafka_ssl_ca_file: CaFile | None = None
    kafka_topic_prefix: TopicPrefix = ""

    @property
    def kafka(self) -> KafkaSettings:
        """The Kafka settings, for the clients."""
        return KafkaSettings(
            bootstrap_servers=self.kafka_bootstrap_servers,
            security_protocol=self.kafka_security_protocol,
            sasl_mechanism=self.kafka_sasl_mechanism,
            sasl_username=self.kafka_sasl_username,
            sasl_password=self.kafka_sasl_password.get_secret_value(),
            ssl_ca_file=self.kafka_ssl_ca_file,
            topic_prefix=self.kafka_topic_prefix,
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - ours takes its place
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - there are none
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - there are none
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The caller's arguments come first, then the environment."""
        return init_settings, _Environment(settings_cls)

    @classmethod
    def variable(cls, field: str) -> str:
        """The environment variable of a field."""
        return f"{cls.model_config.get('env_prefix', '')}{field}".upper()

    @property
    def trusts_the_system(self) -> bool:
        """Whether a client verifies certificates by the system's authorities."""
        return "SSL" in self.kafka_security_protocol and self.kafka_ssl_ca_file is None

    @model_validator(mode="after")
    def _refuse_kafka_in_the_clear_in_production(self) -> Self:
        if self.environment == "production" and self.kafka_security_protocol in {"PLAINTEXT", "SASL_PLAINTEXT"}:
            name = self.variable("kafka_security_protocol")
            raise ValueError(f"{name} must be SSL or SASL_SSL in production, not {self.kafka_security_protocol}")
        return self

    @model_validator(mode="after")
    def _check_authorities(self) -> Self:
        if self.trusts_the_system:
            check_system_authorities()
        return self


P = TypeVar("P", bound=ProcessSettings)


def load(settings: type[P]) -> P:
    """Read the environment. Raises ConfigurationError, whose message names the variable and never shows its value."""
    try:
        return settings()
    except ValidationError as error:
        problems = [_problem(settings, problem) for problem in error.errors(include_url=False, include_input=False)]
        raise ConfigurationError("; ".join(problems)) from None
    except SettingsError as error:  # a list that is no JSON
        raise ConfigurationError(f"{settings.variable(str(error.__cause__))}: must be JSON") from None


def _problem(settings: type[ProcessSettings], problem: Any) -> str:
    message = message_of(problem)
    return f"{settings.variable(str(problem['loc'][0]))}: {message}" if problem["loc"] else message
