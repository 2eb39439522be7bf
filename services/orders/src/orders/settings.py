"""This service's settings; docs in its README."""

from typing import Annotated, ClassVar

from chassis.settings import Port, ServiceSettings
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

DEVELOPMENT_PRIVATE_KEY = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEID1P1vgjSp7Jwza9IJDvIuZTFKD+1BhESyVreopIiajh
-----END PRIVATE KEY-----"""
"""Known to everybody who reads this: production refuses it."""


class Settings(ServiceSettings):
    """Environment variables with the prefix ``ORDERS_``."""

    model_config = SettingsConfigDict(env_prefix="ORDERS_", frozen=True, extra="ignore")
    development_only: ClassVar[frozenset[str]] = frozenset({"database_url", "jwt_private_key"})

    http_port: Port = 8000
    database_url: str = "postgresql+asyncpg://orders:orders@127.0.0.1:5432/orders"
    jwt_private_key: SecretStr = SecretStr(DEVELOPMENT_PRIVATE_KEY)
    jwt_public_keys: tuple[str, ...] = ()
    """Further keys to accept, while one replaces another."""
    jwt_lifetime_seconds: Annotated[int, Field(ge=60)] = 3600
    payment_deadline_seconds: Annotated[float, Field(gt=0)] = 900
    rate_limit_per_minute: Annotated[int, Field(ge=0)] = 10
    """A client address's calls of POST /tokens and POST /users; 0 is no limit."""
    operator_password: SecretStr = SecretStr("")
    """Only for ``create-operator``."""

    @field_validator("jwt_private_key")
    @classmethod
    def _check_private_key(cls, value: SecretStr) -> SecretStr:
        if "PRIVATE KEY" not in value.get_secret_value():
            raise ValueError("must be an Ed25519 private key in PEM")
        return value
