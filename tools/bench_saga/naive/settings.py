"""What each of the three services reads from its environment."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="NAIVE_")

    http_port: int = 0
    database_url: str = ""
    kafka_bootstrap_servers: str = ""
    gateway_url: str = ""
    smtp_host: str = ""
    smtp_port: int = 0
    jwt_secret: str = "a secret of the naive build, which lives as long as a measurement"  # noqa: S105
