"""Settings from the environment, one class for each service; an error is one line that names the variable."""

import os
import ssl
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from outboxed import failpoints
from outboxed.errors import ConfigurationError, message_of

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Port = Annotated[int, Field(ge=0, le=65535)]


@dataclass(frozen=True)
class KafkaSettings:
    """How to reach Kafka; `topic_prefix` keeps tests apart on a shared cluster."""

    bootstrap_servers: str
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: str = ""
    ssl_ca_file: str | None = None
    topic_prefix: str = ""
    session_timeout_ms: int = 6000
    """The group waits this long for a killed member. Six seconds are the default minimum of Apache Kafka
    (`group.min.session.timeout.ms`)."""
    fetch_max_wait_ms: int = 100
    """A fetch that finds nothing waits this long. A shorter wait costs idle processor time, here and in Kafka. A longer
    one may delay a record: a broker gets no second fetch before it has answered the first."""

    def topic(self, name: str) -> str:
        """The topic's name on this cluster."""
        return self.topic_prefix + name

    def client_options(self) -> dict[str, Any]:
        """Options that every aiokafka client takes."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if "SSL" in self.security_protocol:
            options["ssl_context"] = self._ssl_context()
        if "SASL" in self.security_protocol:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password
        return options

    def faststream_security(self) -> BaseSecurity | None:
        """The security options for a FastStream broker."""
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


class _NotJSONError(ValueError):
    """A value isn't JSON; the message is the field's name, which pydantic-settings has only inside a sentence."""


class _Environment(EnvSettingsSource):
    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            raise _NotJSONError(field_name) from None


class ServiceSettings(BaseSettings):
    """What every service needs; a service's own class adds its prefix, defaults and further settings."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    development_only: ClassVar[frozenset[str]] = frozenset()
    """Fields whose defaults are known to everybody: production refuses them."""

    environment: Literal["development", "test", "production"] = "development"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    http_host: str = "127.0.0.1"
    http_port: Port
    database_url: str
    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    kafka_sasl_username: str = ""
    kafka_sasl_password: SecretStr = SecretStr("")
    kafka_ssl_ca_file: str | None = None
    kafka_topic_prefix: str = ""
    kafka_session_timeout_ms: Annotated[int, Field(ge=1000, le=300_000)] = KafkaSettings.session_timeout_ms
    kafka_fetch_max_wait_ms: Annotated[int, Field(ge=1, le=5000)] = KafkaSettings.fetch_max_wait_ms

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
            session_timeout_ms=self.kafka_session_timeout_ms,
            fetch_max_wait_ms=self.kafka_fetch_max_wait_ms,
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

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        try:
            driver = make_url(value).drivername
        except (ArgumentError, ValueError):
            driver = ""
        if driver != "postgresql+asyncpg":
            raise ValueError("must be a URL such as postgresql+asyncpg://user:password@host:5432/database")
        return value

    @field_validator("kafka_ssl_ca_file")
    @classmethod
    def _check_ca_file(cls, value: str | None) -> str | None:
        if value is not None and not os.access(value, os.R_OK):
            raise ValueError("can't be read")
        return value

    @model_validator(mode="after")
    def _refuse_what_is_for_development_in_production(self) -> Self:
        if self.environment != "production":
            return self
        if failpoints.CHOSEN:
            raise ValueError(f"{failpoints.VARIABLE} must not be set in production: it ends the process on purpose")
        for name in sorted(self.development_only):
            if self._secrets(getattr(self, name)) & self._secrets(type(self).model_fields[name].default):
                raise ValueError(f"{self.variable(name)} must be set in production: its default is no secret")
        if self.kafka_security_protocol in {"PLAINTEXT", "SASL_PLAINTEXT"}:
            name = self.variable("kafka_security_protocol")
            raise ValueError(f"{name} must be SSL or SASL_SSL in production, not {self.kafka_security_protocol}")
        return self

    @staticmethod
    def _secrets(value: object) -> set[str]:
        """The secrets in a value: the password of a database URL, the text of PEM keys without blanks."""
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if isinstance(value, str) and "://" in value:
            return {str(make_url(value).password)}
        keys = value if isinstance(value, tuple) else (value,)
        return {"".join(str(key).replace("\\n", "").split()) for key in keys}


S = TypeVar("S", bound=ServiceSettings)


def load(settings: type[S]) -> S:
    """Read the environment. Raises ConfigurationError, whose message names the variable and never shows its value."""
    try:
        return settings()
    except ValidationError as error:
        problems = [_problem(settings, problem) for problem in error.errors(include_url=False, include_input=False)]
        raise ConfigurationError("; ".join(problems)) from None
    except SettingsError as error:  # a list that is no JSON
        raise ConfigurationError(f"{settings.variable(str(error.__cause__))}: must be JSON") from None


def _problem(settings: type[ServiceSettings], problem: Any) -> str:
    message = message_of(problem)
    return f"{settings.variable(str(problem['loc'][0]))}: {message}" if problem["loc"] else message
