"""What each service of the other builds reads from its environment."""

from collections.abc import Mapping

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """`database_urls` are those of all services of the build, for one whose services reach each other so."""

    model_config = SettingsConfigDict(env_prefix="BUILD_")

    http_port: int = 0
    database_url: str = ""
    database_urls: Mapping[str, str] = {}
    kafka_bootstrap_servers: str = ""
    gateway_url: str = ""
    smtp_host: str = ""
    smtp_port: int = 0
