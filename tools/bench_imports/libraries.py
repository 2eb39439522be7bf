"""What every service imports of others; this module imports nothing of ours itself."""

from collections.abc import Sequence

LIBRARIES: Sequence[str] = (
    "aiokafka",
    "alembic",
    "asyncpg",
    "fastapi",
    "faststream.kafka",
    "httpx",
    "jwt",
    "opentelemetry.trace",
    "prometheus_client",
    "pydantic_settings",
    "sqlalchemy.ext.asyncio",
    "structlog",
    "typer",
    "uvicorn",
)
