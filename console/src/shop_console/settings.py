"""The console's settings; its README has the table."""

from collections.abc import Mapping
from typing import Annotated, Self

from outboxed.settings import Host, HttpUrl, Port, ProcessSettings
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

PREFIX = "CONSOLE_"
ServiceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]


class Settings(ProcessSettings):
    """Environment variables with the prefix `CONSOLE_`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

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
