"""The console's settings; its README has the table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from outboxed.settings import Host, HttpUrl, Port, ProcessSettings
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

PREFIX = "CONSOLE_"
BROKER = ("pact_broker_base_url", "pact_broker_token", "pact_broker_username", "pact_broker_password")
"""Fields that the Pact Broker's commands read, too, by the same variables without our prefix."""
ServiceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]


class Settings(ProcessSettings):
    """Environment variables with the prefix `CONSOLE_`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", populate_by_name=True)

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
    contracts: Path | None = None
    """The folder of the pacts, which say who depends on whom."""
    pact_broker_base_url: Annotated[HttpUrl | None, Field(validation_alias="PACT_BROKER_BASE_URL")] = None
    """The Pact Broker, where there is one."""
    pact_broker_token: Annotated[SecretStr | None, Field(validation_alias="PACT_BROKER_TOKEN")] = None
    pact_broker_username: Annotated[str | None, Field(validation_alias="PACT_BROKER_USERNAME")] = None
    pact_broker_password: Annotated[SecretStr | None, Field(validation_alias="PACT_BROKER_PASSWORD")] = None
    kept_orders: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Orders whose records are held in memory; the oldest give way."""

    @property
    def pact_broker_login(self) -> tuple[str, str] | None:
        """User and password; a token wins over them."""
        if self.pact_broker_token or self.pact_broker_username is None or self.pact_broker_password is None:
            return None
        return self.pact_broker_username, self.pact_broker_password.get_secret_value()

    @classmethod
    def variable(cls, field: str) -> str:
        """Those of the Pact Broker have no prefix."""
        return field.upper() if field.lower() in BROKER else super().variable(field)

    @field_validator(*BROKER, mode="before")
    @classmethod
    def _take_empty_for_unset(cls, value: Any) -> Any:
        """As CI systems mean it, and the broker's commands."""
        return value or None

    @field_validator("pact_broker_base_url")
    @classmethod
    def _refuse_a_password(cls, value: str | None) -> str | None:
        """The page shows the address."""
        if value is not None and "@" in value:
            raise ValueError("must hold no password: use PACT_BROKER_USERNAME and PACT_BROKER_PASSWORD")
        return value

    @model_validator(mode="after")
    def _check_the_brokers_login(self) -> Self:
        if (self.pact_broker_username is None) != (self.pact_broker_password is None):
            raise ValueError("PACT_BROKER_USERNAME and PACT_BROKER_PASSWORD belong together: only one of them is set")
        return self

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
