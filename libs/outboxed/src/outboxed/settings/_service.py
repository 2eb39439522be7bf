"""A service's settings class."""

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import Field, SecretStr, model_validator

from outboxed import failpoints
from outboxed.settings._database import Database
from outboxed.settings._kafka import KafkaSettings
from outboxed.settings._process import ProcessSettings
from outboxed.settings._variables import DatabaseUrl


class ServiceSettings(ProcessSettings):
    """What every service needs; a service's own class adds its prefix, defaults and further settings."""

    development_only: ClassVar[frozenset[str]] = frozenset()
    """Fields whose defaults are known to everybody: production refuses them."""

    database_url: DatabaseUrl
    database_password: SecretStr | None = None
    """Goes before the URL's, and is taken as it is: there is nothing to percent-encode."""
    kafka_session_timeout_ms: Annotated[int, Field(ge=1000, le=300_000)] = KafkaSettings.session_timeout_ms
    kafka_fetch_max_wait_ms: Annotated[int, Field(ge=1, le=5000)] = KafkaSettings.fetch_max_wait_ms

    @property
    def kafka(self) -> KafkaSettings:
        """The Kafka settings, for the clients."""
        return replace(
            super().kafka,
            session_timeout_ms=self.kafka_session_timeout_ms,
            fetch_max_wait_ms=self.kafka_fetch_max_wait_ms,
        )

    @model_validator(mode="before")
    @classmethod
    def _take_the_password_as_it_is(cls, values: Any) -> Any:
        given = values.get("database_password") or ""
        password = given.get_secret_value() if isinstance(given, SecretStr) else str(given)
        if not password:
            return values
        try:
            database = Database.parse(values.get("database_url", cls.model_fields["database_url"].default))
        except ValueError:
            return values  # the field itself says what is wrong
        return {**values, "database_url": replace(database, password=password)}

    @model_validator(mode="after")
    def _refuse_what_is_for_development_in_production(self) -> Self:
        if self.environment != "production":
            return self
        if failpoints.CHOSEN:
            raise ValueError(f"{failpoints.VARIABLE} must not be set in production: it ends the process on purpose")
        for name in sorted(self.development_only):
            if self._secrets(getattr(self, name)) & self._secrets(type(self).model_fields[name].default):
                raise ValueError(f"{self.variable(name)} must be set in production: its default is no secret")
        return self

    @staticmethod
    def _secrets(value: object) -> set[str]:
        """The secrets in a value: the password of a database URL, the text of PEM keys without blanks."""
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if isinstance(value, Database):
            return {value.password}
        keys = value if isinstance(value, tuple) else (value,)
        return {"".join(str(key).replace("\\n", "").split()) for key in keys}


S = TypeVar("S", bound=ServiceSettings)
