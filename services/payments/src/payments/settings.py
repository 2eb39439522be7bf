"""This service's settings; docs in its README."""

from typing import Annotated, ClassVar

from outboxed.settings import Database, DatabaseUrl, HttpUrl, Port, PublicKey, ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict

DEVELOPMENT_PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAum1ZtrMHdVDGw/cYckBGVigUV/FNCI4Tqx7GzVuE3Is=
-----END PUBLIC KEY-----"""
"""Belongs to the private key that orders has in development, which everybody can read: production refuses it."""
ISSUER = "orders"
AUDIENCE = "shop"


class Settings(ServiceSettings):
    """Environment variables with the prefix `PAYMENTS_`."""

    model_config = SettingsConfigDict(env_prefix="PAYMENTS_", frozen=True, extra="ignore")
    development_only: ClassVar[frozenset[str]] = frozenset({"database_url", "jwt_public_keys"})

    http_port: Port = 8001
    database_url: DatabaseUrl = Database.parse("postgresql+asyncpg://payments:payments@127.0.0.1:5432/payments")
    jwt_public_keys: Annotated[tuple[PublicKey, ...], Field(min_length=1)] = (DEVELOPMENT_PUBLIC_KEY,)
    """A JSON list of PEM keys: several while one replaces another."""
    gateway_url: HttpUrl = "http://127.0.0.1:8090"
    gateway_timeout_seconds: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 2
