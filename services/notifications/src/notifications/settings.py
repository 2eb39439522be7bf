"""This service's settings; docs in its README."""

from typing import Annotated, ClassVar, Self

from outboxed.settings import Database, DatabaseUrl, Host, MailSender, Port, PublicKey, ServiceSettings
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

DEVELOPMENT_PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAum1ZtrMHdVDGw/cYckBGVigUV/FNCI4Tqx7GzVuE3Is=
-----END PUBLIC KEY-----"""
"""Belongs to the private key that orders has in development, which everybody can read: production refuses it."""
ISSUER = "orders"
AUDIENCE = "shop"


class Settings(ServiceSettings):
    """Environment variables with the prefix `NOTIFICATIONS_`."""

    model_config = SettingsConfigDict(env_prefix="NOTIFICATIONS_", frozen=True, extra="ignore")
    development_only: ClassVar[frozenset[str]] = frozenset({"database_url", "jwt_public_keys"})

    http_port: Port = 8002
    database_url: DatabaseUrl = Database.parse(
        "postgresql+asyncpg://notifications:notifications@127.0.0.1:5432/notifications"
    )
    jwt_public_keys: Annotated[tuple[PublicKey, ...], Field(min_length=1)] = (DEVELOPMENT_PUBLIC_KEY,)
    """A JSON list of PEM keys: several while one replaces another."""
    smtp_host: Host = "127.0.0.1"
    smtp_port: Annotated[Port, Field(ge=1)] = 1025
    smtp_starttls: bool = False
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_sender: MailSender = "Shop <orders@shop.example>"
    smtp_domain: Host = "shop.example"
    smtp_timeout_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5

    @property
    def trusts_the_system(self) -> bool:
        return self.smtp_starttls or super().trusts_the_system

    @model_validator(mode="after")
    def _refuse_a_password_in_the_clear(self) -> Self:
        if self.environment == "production" and self.smtp_username and not self.smtp_starttls:
            raise ValueError(f"{self.variable('smtp_starttls')} must be true in production where there is a login")
        return self
