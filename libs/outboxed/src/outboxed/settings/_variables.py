"""Types of settings that pydantic-settings would else read as JSON."""

from typing import Annotated

from pydantic import PlainValidator
from pydantic_settings import NoDecode

from outboxed.settings._addresses import parse_bootstrap_servers
from outboxed.settings._database import Database

BootstrapServers = Annotated[tuple[str, ...], NoDecode, PlainValidator(parse_bootstrap_servers)]
"""Kafka's brokers, each as `host:port`."""
DatabaseUrl = Annotated[Database, NoDecode, PlainValidator(Database.parse)]
"""A `postgresql+asyncpg://` URL."""
