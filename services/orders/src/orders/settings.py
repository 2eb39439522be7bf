"""This service's settings; docs in its README."""

from typing import Annotated, ClassVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from outboxed.settings import Database, DatabaseUrl, Port, PublicKey, ServiceSettings
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

DAY = 24 * 3600
DEVELOPMENT_PRIVATE_KEY = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEID1P1vgjSp7Jwza9IJDvIuZTFKD+1BhESyVreopIiajh
-----END PRIVATE KEY-----"""
"""Known to everybody who reads this: production refuses it."""
DEVELOPMENT_PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAum1ZtrMHdVDGw/cYckBGVigUV/FNCI4Tqx7GzVuE3Is=
-----END PUBLIC KEY-----"""
"""Belongs to it."""


class Settings(ServiceSettings):
    """Environment variables with the prefix `ORDERS_`."""

    model_config = SettingsConfigDict(env_prefix="ORDERS_", frozen=True, extra="ignore")
    development_only: ClassVar[frozenset[str]] = frozenset({"database_url", "jwt_private_key"})

    http_port: Port = 8000
    database_url: DatabaseUrl = Database.parse("postgresql+asyncpg://orders:orders@127.0.0.1:5432/orders")
    jwt_private_key: SecretStr = SecretStr(DEVELOPMENT_PRIVATE_KEY)
    jwt_public_keys: tuple[PublicKey, ...] = ()
    """Further keys to accept, while one replaces another."""
    jwt_lifetime_seconds: Annotated[int, Field(ge=60, le=DAY)] = 3600
    payment_deadline_seconds: Annotated[float, Field(gt=0, le=30 * DAY, allow_inf_nan=False)] = 900
    rate_limit_per_minute: Annotated[int, Field(ge=0)] = 10
    """A client address's calls of POST /tokens and POST /users; 0 is no limit."""
    operator_password: SecretStr = SecretStr("")
    """Only for `create-operator`."""

    @field_validator("jwt_private_key")
    @classmethod
    def _check_private_key(cls, value: SecretStr) -> SecretStr:
        try:
            key = load_pem_private_key(value.get_secret_value().replace("\\n", "\n").encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("must be an Ed25519 private key in PEM, without a password")  # noqa: TRY004 - pydantic's
        return value

    @field_validator("jwt_public_keys")
    @classmethod
    def _refuse_the_development_key(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("environment") == "production" and cls._secrets(value) & cls._secrets(DEVELOPMENT_PUBLIC_KEY):
            raise ValueError("the development key must not be accepted in production")
        return value
